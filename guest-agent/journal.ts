import { open, readFile } from 'node:fs/promises'
import { z } from 'zod'
import { ignoreFullDisk } from '../lib/kit/errors.ts'
import { replaceFile } from '../lib/kit/os/files.ts'

/** How a command ended. */
export const CommandEnd = z.object({
  number: z.int(),
  result: z.unknown().optional(),
  failed: z.object({ code: z.int(), message: z.string() }).optional(),
})
export type CommandEnd = z.infer<typeof CommandEnd>

/** The commands that were done, on the disk: what is recorded here is never done again. */
export interface Journal {
  /** The number of the last command; 0 if there was none. */
  last(): number
  find(number: number): CommandEnd | undefined
  /** Whether a command was started and has no recorded end: it may have been done, or not, when the agent died. */
  isUnfinished(number: number): boolean
  /**
   * Records that a command starts, before anything is done for it. On the disk when this resolves, unless that is full:
   * a delete may be what makes space.
   */
  begin(number: number): Promise<void>
  /** Records the end of a command. On the disk when this resolves. */
  add(end: CommandEnd): Promise<void>
}

/** A line for the start of a command. */
const StartLine = z.object({ begun: z.int() })

/** How many ends are stored at least, for commands that are sent again. */
const MIN_ENDS = 200

export async function openJournal(path: string): Promise<Journal> {
  // The last line may be torn: that command was not reported, and is done again.
  const lines = (await readLines(path)).map(tryJson)
  let ends = lines.flatMap(line => tryParse(CommandEnd, line))
  let lastStarted = lines.flatMap(line => tryParse(StartLine, line)).at(-1)?.begun ?? 0
  const last = () => ends.at(-1)?.number ?? 0
  return {
    last,
    find: number => ends.find(end => end.number === number),
    isUnfinished: number => number === lastStarted && number > last(),
    async begin(number) {
      await append(path, { begun: number }).catch(ignoreFullDisk)
      lastStarted = number
    },
    async add(end) {
      if (ends.length < 2 * MIN_ENDS) {
        await append(path, end)
        // Only now: a command whose end could not be written (a full disk) has not ended.
        ends.push(end)
        return
      }
      const recent = [...ends.slice(1 - MIN_ENDS), end]
      await replaceFile(path, recent.map(line => `${JSON.stringify(line)}\n`).join(''))
      ends = recent
    },
  }
}

/** The line begins with a line break, so that it stands alone after a torn one. */
async function append(path: string, line: object): Promise<void> {
  const file = await open(path, 'a', 0o600)
  try {
    await file.appendFile(`\n${JSON.stringify(line)}\n`)
    await file.datasync()
  } finally {
    await file.close()
  }
}

function tryParse<T>(schema: z.ZodType<T>, line: unknown): T[] {
  const { success, data } = schema.safeParse(line)
  return success ? [data] : []
}

const readLines = async (path: string) =>
  (await readFile(path, 'utf8').catch(() => '')).split('\n').filter(line => line !== '')

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
