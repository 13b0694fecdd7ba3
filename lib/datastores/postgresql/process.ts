import { execFile } from 'node:child_process'
import { readdir, readlink } from 'node:fs/promises'
import { platform } from 'node:os'
import { basename } from 'node:path'
import { promisify } from 'node:util'
import { type Running, runningAs } from '../../kit/process.ts'
import { codeOf } from './files.ts'

const linux = platform() === 'linux'

/** Whether every process of a directory can be found: only then may a server's pid file be removed for it. */
export const knowsProcesses = linux

// What may not be read is another user's, hence no server of ours; any other failure must not pass for 'there is none'.
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
export async function serverAs(pid: number, directory: string): Promise<Running | undefined> {
  return (await worksIn(pid, directory)) ? runningAs(pid) : undefined
}

/** The server processes that work in that directory, whoever started them (Linux only, else none). */
export async function serversIn(directory: string): Promise<Running[]> {
  const pids = linux ? (await readdir('/proc')).filter(name => /^\d+$/.test(name)).map(Number) : []
  const found = await Promise.all(
    pids.map(async pid => {
      const program = await linkOf(`/proc/${pid}/exe`)
      return program && basename(program) === 'postgres' ? serverAs(pid, directory) : undefined
    }),
  )
  return found.filter(running => running !== undefined)
}
