import { readlink } from 'node:fs/promises'
import { kill } from 'node:process'
import type { Clock } from '../lib/kit/clock.ts'
import { endUid, listPids } from './end-uid.ts'

const MAX_LOOKS = 250
const PAUSE_MS = 20

/**
 * Ends what still runs of a data directory that was removed: every process of its instances' uids, and whatever works
 * in a folder that was below it (Linux only). The directory is named as `realpath` named it while it was there.
 */
export async function endRemoved(dataDir: string, uids: Iterable<number>, clock: Clock): Promise<void> {
  // Everything on the machine is below the root.
  if (!/^(\/[^/]+)+$/.test(dataDir)) throw new Error(`not the real path of a data directory: '${dataDir}'`)
  await Promise.all([...uids].map(uid => endUid(uid, clock)))
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const pids = await workingBelow(dataDir)
    if (pids.length === 0) return
    for (const pid of pids) endProcess(pid)
    await clock.sleep(PAUSE_MS)
  }
  throw new Error('processes of the data directory that was removed do not end')
}

/** The processes whose working directory was below the folder and was removed: a new folder of that name is another. */
async function workingBelow(dataDir: string): Promise<number[]> {
  const isBelow = async (pid: string) => {
    const folder = await readlink(`/proc/${pid}/cwd`).catch(() => '')
    return folder.startsWith(`${dataDir}/`) && folder.endsWith(' (deleted)')
  }
  const pids = await listPids()
  const below = await Promise.all(pids.map(isBelow))
  return pids.filter((_, index) => below[index]).map(Number)
}

function endProcess(pid: number): void {
  try {
    kill(pid, 'SIGKILL')
  } catch {
    // It has just ended by itself.
  }
}
