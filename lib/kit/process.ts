import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { platform } from 'node:os'
import { promisify } from 'node:util'
import { codeOf } from './errors.ts'

/** A process that cannot be mistaken for a later one with the same number. */
export interface Running {
  pid: number
  started: string
}

/** Field 22 of /proc/<pid>/stat (ticks since boot), or undefined for a dead process not yet reaped. */
export function startTicks(stat: string): string | undefined {
  // The second field is the program's name in brackets, and may itself hold blanks and brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
}

/** A process that has ended gives ENOENT, one that ends while it is read ESRCH; anything else (EMFILE) says nothing of it. */
function ended(error: unknown): undefined {
  const code = codeOf(error)
  if (code !== 'ENOENT' && code !== 'ESRCH') throw error
}

/** Read at once: no disk is waited for, and by a thread and back it would cost ten times as much, several times a second. */
function statOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch (error) {
    return ended(error)
  }
}

async function startedAt(pid: number): Promise<string | undefined> {
  if (platform() === 'linux') {
    const stat = statOf(pid)
    return stat === undefined ? undefined : startTicks(stat)
  }
  // Elsewhere ps knows; it fails if there is no such process.
  const ps = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)]).catch(() => undefined)
  return ps?.stdout.trim() || undefined
}

/** The process of that number, if it lives. */
export async function runningAs(pid: number): Promise<Running | undefined> {
  const started = await startedAt(pid)
  return started === undefined ? undefined : { pid, started }
}

/** Whether it is the same process still. */
export async function alive(process: Running): Promise<boolean> {
  return (await startedAt(process.pid)) === process.started
}
