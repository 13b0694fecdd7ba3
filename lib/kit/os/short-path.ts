import { constants, mkdtemp, open, rm, rmdir, symlink } from 'node:fs/promises'
import { platform, tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Calls `work` with a short path of a folder. The path of a socket has at most 107 bytes, and that of a folder may have
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
  const link = join(parent, 'folder')
  try {
    await symlink(folder, link)
    return await work(link)
  } finally {
    await rm(link, { force: true })
    await rmdir(parent)
  }
}
