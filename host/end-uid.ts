import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { execPath } from 'node:process'
import type { Clock } from '../lib/kit/clock.ts'
import { type ProcessRef, processRef } from '../lib/kit/os/process.ts'

/** The numbers of all processes (Linux only, else none). */
export const listPids = async () => (await readdir('/proc').catch(() => [])).filter(name => /^\d+$/.test(name))

/** Whether the process runs as the uid. */
export async function runsAs(pid: string, uid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return status.includes(`\nUid:\t${uid}\t`)
}

/** The processes of a uid that have not ended, at one look. What forks and ends meanwhile may be missing. */
async function processesOfUid(uid: number): Promise<ProcessRef[]> {
  const processes = await Promise.all(
    (await listPids()).map(async pid => ((await runsAs(pid, uid)) ? processRef(Number(pid)) : undefined)),
  )
  return processes.filter(process => process !== undefined)
}

/** Uids below are the system's own and people's. */
const FIRST_UID = 65_536

/**
 * Run as root, it becomes the uid just before the signal, so the uid's other processes have hardly a moment to end it.
 * The kernel signals all processes of the uid in one go, and lets none of them fork meanwhile.
 */
const KILLER = `const uid = Number(process.argv[1])
process.setgroups([])
process.setgid(uid)
process.setuid(uid)
const ids = [process.getuid(), process.geteuid()]
if (!(uid >= ${FIRST_UID}) || ids.some(id => id !== uid)) process.exit(1)
try { process.kill(-1, 'SIGKILL') } catch (error) { if (error.code !== 'ESRCH') process.exit(1) }
process.exit(0)`

const MAX_TRIES = 500
const PAUSE_MS = 20
/** Looks in a row that see nothing of the uid. */
const EMPTY_LOOKS = 2

/** Ends every process of a uid that belongs to one instance. Resolves once none is left. For root on Linux. */
export async function endUid(uid: number, clock: Clock): Promise<void> {
  if (!(uid >= FIRST_UID)) throw new Error(`not the uid of an instance: ${uid}`)
  let isKilled = false
  for (let tries = 0, empty = 0; tries < MAX_TRIES; tries++) {
    // Once is enough, but a killer that was ended itself has perhaps not reached all.
    if (!isKilled) isKilled = await killAll(uid)
    empty = (await processesOfUid(uid)).length === 0 ? empty + 1 : 0
    if (isKilled && empty >= EMPTY_LOOKS) return
    await clock.sleep(empty > 0 ? 1 : PAUSE_MS)
  }
  throw new Error(`processes of uid ${uid} do not end`)
}

/** Signals every process of the uid. Returns whether the signal was sent to all of them. */
async function killAll(uid: number): Promise<boolean> {
  const child = spawn(execPath, ['-e', KILLER, String(uid)], { cwd: '/', stdio: 'ignore', env: {} })
  const [status] = await once(child, 'exit')
  return status === 0
}
