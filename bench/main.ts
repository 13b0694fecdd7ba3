import { benchColdStart } from './coldstart.ts'
import { benchCreate } from './create.ts'
import { benchCreateRequests, benchThousand } from './creates.ts'
import { benchFairness } from './fairness.ts'
import { benchIdle } from './idle.ts'
import { benchQuestions } from './questions.ts'
import { benchRequests } from './requests.ts'
import { benchScale } from './scale.ts'
import { benchStart } from './start.ts'
import { type Note, table } from './table.ts'

/** `npm run bench -- [names]`: medians over repetitions, as a table and as JSON. Compares; asserts no time. */
const SUBJECTS: Record<string, (note: Note) => Promise<void>> = {
  requests: benchRequests,
  creates: benchCreateRequests,
  create: benchCreate,
  thousand: benchThousand,
  questions: benchQuestions,
  idle: benchIdle,
  scale: benchScale,
  fairness: benchFairness,
  start: benchStart,
  coldstart: benchColdStart,
}

const names = process.argv.slice(2)
const unknown = names.find(name => !Object.hasOwn(SUBJECTS, name))
if (unknown !== undefined) {
  console.error(`there is no ${unknown}; there are ${Object.keys(SUBJECTS).join(', ')}`)
  process.exit(1)
}
const { note, print } = table()
for (const [name, bench] of Object.entries(SUBJECTS)) if (names.length === 0 || names.includes(name)) await bench(note)
print()
