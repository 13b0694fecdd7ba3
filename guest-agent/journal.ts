import { open, readFile } from 'node:fs/promises'
import { z } from 'zod'
import { writeAtomically } from '../lib/kit/files.ts'

/** How a command ended. */
export const Ended = z.object({
  number: z.int(),
  result: z.unknown().optional(),
  failed: z.object({ code: z.int(), message: z.string() }).optional(),
})
export type Ended = z.infer<typeof Ended>

/** Which commands were done, on the disk: what is written here is never done again. */
export interface Journal {
  /** The number of the last one. */
  last(): number
  find(number: number): Ended | undefined
  /** Whether a command was begun that is not ended: it may have been done, or not, when the agent died. */
  begun(number: number): boolean
  /** On the disk when this resolves. */
  begin(number: number): Promise<void>
  /** On the disk when this resolves. */
  add(ended: Ended): Promise<void>
}

/** A command that is begun; written before anything is done for it. */
const Begun = z.object({ begun: z.int() })

/** So many endings are kept for commands that are asked again. */
const KEPT = 200

export async function journal(path: string): Promise<Journal> {
  // The last line may be a part: that command was not reported, and is done again.
  const known = (await lines(path)).map(tryJson)
  let endings = known.flatMap(line => parsed(Ended, line))
  let latestBegun = known.flatMap(line => parsed(Begun, line)).at(-1)?.begun ?? 0
  const last = () => endings.at(-1)?.number ?? 0
  return {
    last,
    find: number => endings.find(ended => ended.number === number),
    begun: number => number === latestBegun && number > last(),
    async begin(number) {
      await append(path, { begun: number })
      latestBegun = number
    },
    async add(ended) {
      if (endings.length >= 2 * KEPT) {
        const kept = [...endings.slice(1 - KEPT), ended]
        await writeAtomically(path, kept.map(one => `${JSON.stringify(one)}\n`).join(''))
        endings = kept
      } else {
        await append(path, ended)
        // Known only once it is on the disk: what could not be written (a full disk) is not ended.
        endings.push(ended)
      }
    },
  }
}

/** A line of its own even after a torn one. */
async function append(path: string, line: object): Promise<void> {
  const file = await open(path, 'a', 0o600)
  try {
    await file.appendFile(`\n${JSON.stringify(line)}\n`)
    await file.datasync()
  } finally {
    await file.close()
  }
}

function parsed<T>(schema: z.ZodType<T>, line: unknown): T[] {
  const { success, data } = schema.safeParse(line)
  return success ? [data] : []
}

const lines = async (path: string) =>
  (await readFile(path, 'utf8').catch(() => '')).split('\n').filter(line => line !== '')

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
