import { constants, lstat, mkdtemp, open, rm, rmdir, symlink } from 'node:fs/promises'
import { platform, tmpdir } from 'node:os'
import { join } from 'node:path'
import { unlessMissing } from './files.ts'

/** The file of the server's socket, in the data. */
export const socketName = (port: number) => `.s.PGSQL.${port}`

/** Whether the data has a server's socket. */
export async function hasSocket(data: string, port: number): Promise<boolean> {
  return (await unlessMissing(lstat(join(data, socketName(port)))))?.isSocket() ?? false
}

/**
 * Calls `work` with a short path of a folder. The path of a socket has at most 107 bytes, and that of the data may have
 * more. Throws ENOENT if there is no such folder.
 */
export function withShortPath<T>(folder: string, work: (path: string) => Promise<T>, system = platform()): Promise<T> {
  return system === 'linux' ? withDescriptor(folder, work) : withLink(folder, work)
}

async function withDescriptor<T>(folder: string, work: (path: string) => Promise<T>): Promise<T> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    return await work(`/proc/self/fd/${handle.fd}`)
  } finally {
    await handle.close()
  }
}

/** For systems without /proc: a link in a folder that was just made, and that nobody else may enter. */
async function withLink<T>(folder: string, work: (path: string) => Promise<T>): Promise<T> {
  const parent = await mkdtemp(join(tmpdir(), 'coffer-link-'))
  const link = join(parent, 'data')
  try {
    await symlink(folder, link)
    return await work(link)
  } finally {
    await rm(link, { force: true })
    await rmdir(parent)
  }
}
