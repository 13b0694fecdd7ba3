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
  /** On the disk when this resolves. */
  add(ended: Ended): Promise<void>
}

/** So many endings are kept for commands that are asked again. */
const KEPT = 200

export async function journal(path: string): Promise<Journal> {
  let endings = (await lines(path)).flatMap(line => {
    const parsed = Ended.safeParse(tryJson(line))
    // The last line may be a part: that command was not reported, and is done again.
    return parsed.success ? [parsed.data] : []
  })
  return {
    last: () => endings.at(-1)?.number ?? 0,
    find: number => endings.find(ended => ended.number === number),
    async add(ended) {
      endings.push(ended)
      if (endings.length > 2 * KEPT) {
        endings = endings.slice(-KEPT)
        return writeAtomically(path, endings.map(one => `${JSON.stringify(one)}\n`).join(''))
      }
      const file = await open(path, 'a', 0o600)
      try {
        // A line of its own even after a torn one.
        await file.write(`\n${JSON.stringify(ended)}\n`)
        await file.datasync()
      } finally {
        await file.close()
      }
    },
  }
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
