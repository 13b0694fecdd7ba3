import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { platform } from 'node:os'
import { promisify } from 'node:util'
import { codeOf } from '../errors.ts'

/** Identifies a process by its number and start time, so that a later process with the same number is another one. */
export interface ProcessRef {
  pid: number
  started: string
}

/** Field 22 of /proc/<pid>/stat (ticks since boot), or undefined for a dead process not yet reaped. */
export function readStartTicks(stat: string): string | undefined {
  // The second field is the program's name in brackets. It may itself contain blanks and brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
}

/** Rethrows errors other than ENOENT (the process has ended) and ESRCH (it ended while it was read), such as EMFILE. */
function ignoreEnded(error: unknown): undefined {
  const code = codeOf(error)
  if (code !== 'ENOENT' && code !== 'ESRCH') throw error
}

/**
 * Reads synchronously: /proc is not on a disk, and the thread pool would cost ten times as much, several times a
 * second.
 */
function statOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch (error) {
    return ignoreEnded(error)
  }
}

/** When the process started, in the system's own form; undefined if it does not run. */
async function readStart(pid: number): Promise<string | undefined> {
  if (platform() === 'linux') {
    const stat = statOf(pid)
    return stat === undefined ? undefined : readStartTicks(stat)
  }
  // Other systems have ps, which fails if there is no such process.
  const ps = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)]).catch(() => undefined)
  return ps?.stdout.trim() || undefined
}

/** A reference to the running process with this number; undefined if there is none. */
export async function processRef(pid: number): Promise<ProcessRef | undefined> {
  const started = await readStart(pid)
  return started === undefined ? undefined : { pid, started }
}

/** Whether that very process still runs. */
export async function isAlive(process: ProcessRef): Promise<boolean> {
  return (await readStart(process.pid)) === process.started
}
