import { execFile } from 'node:child_process'
import { readdir, readlink } from 'node:fs/promises'
import { platform } from 'node:os'
import { basename } from 'node:path'
import { promisify } from 'node:util'
import { codeOf } from '../../../kit/errors.ts'
import { type ProcessRef, processRef } from '../../../kit/os/process.ts'

const linux = platform() === 'linux'

/** Whether every process that works in a directory can be found: only then may its pid file be removed. */
export const canFindProcesses = linux

// A process whose link may not be read is another user's, hence not ours; any other error must not pass for 'none'.
async function linkOf(path: string): Promise<string | undefined> {
  try {
    return await readlink(path)
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(String(codeOf(error)))) return undefined
    throw error
  }
}

/** Whether the process runs in that directory; a server's working directory is its data directory. */
async function worksIn(pid: number, directory: string): Promise<boolean> {
  if (linux) return (await linkOf(`/proc/${pid}/cwd`)) === directory
  const ps = await promisify(execFile)('ps', ['-o', 'args=', '-p', String(pid)]).catch(() => undefined)
  return ps?.stdout.trimEnd().endsWith(`-D ${directory}`) ?? false
}

/** The process of that number, if it lives and is a server of that data directory. */
export async function findServer(pid: number, directory: string): Promise<ProcessRef | undefined> {
  return (await worksIn(pid, directory)) ? processRef(pid) : undefined
}

/** The server processes that work in that directory, whoever started them (Linux only, else none). */
export async function findServers(directory: string): Promise<ProcessRef[]> {
  const pids = linux ? (await readdir('/proc')).filter(name => /^\d+$/.test(name)).map(Number) : []
  const servers = await Promise.all(
    pids.map(async pid => {
      const program = await linkOf(`/proc/${pid}/exe`)
      return program && basename(program) === 'postgres' ? findServer(pid, directory) : undefined
    }),
  )
  return servers.filter(server => server !== undefined)
}
