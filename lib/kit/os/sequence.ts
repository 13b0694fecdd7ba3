import { z } from 'zod'
import { SerialQueue } from '../async/serial.ts'
import type { Clock, Log } from '../clock.ts'
import { messageOf } from '../errors.ts'
import { readJson, replaceFile } from './files.ts'

/** How many numbers are reserved by one write of the file. */
const BLOCK = 1_000_000
/** Where a clock may put the first number at most: numbers up to 2^53 are exact, and it is to rise from here. */
const MAX_FIRST = 2 ** 52

const SequenceFile = z.object({ reserved: z.int().min(0) })

/** Numbers that rise for ever, over restarts too. */
export interface Sequence {
  next(): Promise<number>
}

/**
 * The sequence whose file is at `path`. The file has the highest number that may have been given out; a start goes on
 * above it, whatever the clock says. Without a file it begins at the clock's microseconds, as earlier versions counted.
 * A file that cannot be written (a full disk) stops nobody: the numbers rise in this process all the same.
 */
export async function openSequence(path: string, { clock, log }: { clock: Clock; log: Log }): Promise<Sequence> {
  const stored = await readReserved(path)
  let last = stored ?? Math.min(clock.now() * 1_000, MAX_FIRST)
  let reserved = last
  const turns = new SerialQueue()

  async function reserve(): Promise<void> {
    reserved = last + BLOCK
    await replaceFile(path, JSON.stringify({ reserved })).catch(error =>
      log.warn({ error: messageOf(error) }, 'reserving report numbers failed'),
    )
  }

  return {
    next: () =>
      turns.run(async () => {
        if (last >= reserved) await reserve()
        last += 1
        return last
      }),
  }
}

/** Undefined if there is no file, or none that can be read. */
async function readReserved(path: string): Promise<number | undefined> {
  const content = await readJson(path).catch(() => undefined)
  return SequenceFile.safeParse(content).data?.reserved
}
