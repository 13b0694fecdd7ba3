import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { codeOf } from '../lib/kit/errors.ts'
import { readJson, replaceFile, syncFolder } from '../lib/kit/os/files.ts'
import type { ProcessRef } from '../lib/kit/os/process.ts'

/** Whether a daemon still has its data directory: another daemon may have taken over, or the directory was removed. */
export type Ownership = 'held' | 'replaced' | 'removed'

const Holder = z.object({ pid: z.int() })

const pidFile = (dataDir: string) => join(dataDir, 'host.pid')
/** Where the daemon remembers which numbers it has given to its reports. */
export const sequenceFile = (dataDir: string) => join(dataDir, 'host.sequence.json')

/** Names the daemon that the data directory belongs to from now on. Throws ENOENT if there is no such directory. */
export const takeDataDir = (dataDir: string, daemon: ProcessRef): Promise<void> =>
  replaceFile(pidFile(dataDir), JSON.stringify(daemon))

/**
 * What the pid file says of the daemon with this pid. The file goes with its directory, so a missing one means that the
 * directory was removed, even if something recreated the path since.
 */
export async function ownershipOf(dataDir: string, pid: number): Promise<Ownership> {
  let content: unknown
  try {
    content = await readJson(pidFile(dataDir))
  } catch (error) {
    // A successor may be writing it just now; a missing folder above it reads as ENOTDIR at most.
    return codeOf(error) === 'ENOTDIR' ? 'removed' : 'held'
  }
  if (content === undefined) return 'removed'
  const holder = Holder.safeParse(content)
  return holder.success && holder.data.pid !== pid ? 'replaced' : 'held'
}

/**
 * Makes a folder below the data directory, with those in between. Throws ENOENT if the data directory is missing: one
 * that was removed must not come back, so nothing here uses mkdir with `recursive`.
 */
export async function makeFolder(dataDir: string, segments: string[], mode = 0o777): Promise<string> {
  let path = dataDir
  for (const segment of segments) {
    path = join(path, segment)
    await mkdir(path, { mode }).then(
      () => syncFolder(dirname(path)),
      (error: unknown) => {
        if (codeOf(error) !== 'EEXIST') throw error
      },
    )
  }
  return path
}
