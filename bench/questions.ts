import { createInstance, deleteInstance, startCoffer, wipe } from '../test/e2e/coffer.ts'
import { ANN } from './create.ts'
import { type Note, repeated, timed } from './table.ts'

const QUESTIONS = 500
/** Until Node.js has made machine code of what is asked again and again, on both sides. */
const WARM = 500
const GRANTS = 50
const COMMANDS = 50

/** Questions and commands to a real agent, and back. */
export async function benchQuestions(note: Note): Promise<void> {
  const coffer = await startCoffer()
  const demo = await coffer.login()
  const { id } = await createInstance(demo, ANN)
  const ask = (path: string) => () => demo.call('GET', `/instances/${id}${path}`)
  await repeated(WARM, ask('/databases'))
  const shown: number[] = []
  const asked: number[] = []
  // In turn: what else goes on in the machine then weighs on both alike.
  for (let run = 0; run < QUESTIONS; run++) {
    shown.push(await timed(ask('')))
    asked.push(await timed(ask('/databases')))
  }
  note('GET an instance (no agent asked)', shown)
  note('GET its databases (a query to the agent and back)', asked)
  const more = asked.map((time, run) => time - (shown[run] ?? 0))
  note('of that the query: the difference of each pair', more)
  const user = `/instances/${id}/users/ann/databases`
  const grant = () => demo.call('PUT', user, { databases: [{ name: 'cart' }] })
  note('PUT a grant (two queries, a command and back)', await repeated(GRANTS, grant))
  const enable = () => demo.call('POST', `/instances/${id}/root`, { password: 'secret1' })
  note('POST root (a command and back)', await repeated(COMMANDS, enable))
  await deleteInstance(demo, id)
  await coffer.stop()
  await wipe(coffer.dataDir)
}
