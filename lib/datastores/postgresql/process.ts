import { execFile } from 'node:child_process'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { platform } from 'node:os'
import { basename } from 'node:path'
import { promisify } from 'node:util'
import { unlessMissing } from './files.ts'

/** A process that cannot be mistaken for a later one with the same number. */
export interface Running {
  pid: number
  started: string
}

const linux = platform() === 'linux'

/** Whether every process of a directory can be found: only then may a server's pid file be removed for it. */
export const knowsProcesses = linux

/** Field 22 of /proc/<pid>/stat (ticks since boot), or undefined for a dead process not yet reaped. */
export function startTicks(stat: string): string | undefined {
  // The second field is the program's name in brackets, and may itself hold blanks and brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
}

async function startedAt(pid: number): Promise<string | undefined> {
  if (linux) {
    const stat = await unlessMissing(readFile(`/proc/${pid}/stat`, 'utf8'))
    return stat === undefined ? undefined : startTicks(stat)
  }
  // Elsewhere ps knows; it fails if there is no such process.
  const ps = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)]).catch(() => undefined)
  return ps?.stdout.trim() || undefined
}

/** Whether the process runs in that directory; a server's working directory is its data directory. */
async function worksIn(pid: number, directory: string): Promise<boolean> {
  if (linux) return (await readlink(`/proc/${pid}/cwd`).catch(() => undefined)) === directory
  const ps = await promisify(execFile)('ps', ['-o', 'args=', '-p', String(pid)]).catch(() => undefined)
  return ps?.stdout.trimEnd().endsWith(`-D ${directory}`) ?? false
}

/** The process of that number, if it lives. */
export async function runningAs(pid: number): Promise<Running | undefined> {
  const started = await startedAt(pid)
  return started === undefined ? undefined : { pid, started }
}

/** The process of that number, if it lives and is a server of that data directory. */
export async function serverAs(pid: number, directory: string): Promise<Running | undefined> {
  return (await worksIn(pid, directory)) ? runningAs(pid) : undefined
}

/** Whether it is the same process still. */
export async function alive(process: Running): Promise<boolean> {
  return (await startedAt(process.pid)) === process.started
}

/** The server processes that work in that directory, whoever started them (Linux only, else none). */
export async function serversIn(directory: string): Promise<Running[]> {
  const pids = linux ? (await readdir('/proc')).filter(name => /^\d+$/.test(name)).map(Number) : []
  const found = await Promise.all(
    pids.map(async pid => {
      const program = await readlink(`/proc/${pid}/exe`).catch(() => '')
      return basename(program) === 'postgres' ? serverAs(pid, directory) : undefined
    }),
  )
  return found.filter(running => running !== undefined)
}
