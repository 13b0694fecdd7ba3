import { lstatSync } from 'node:fs'
import { chown, open, readdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'

/** The uid and gid to own a file or run a program, where they are not the process's own. */
export interface Owner {
  uid: number
  gid: number
}

/** The code of a system's error (`ENOENT` …). */
export const codeOf = (error: unknown) =>
  typeof error === 'object' && error && 'code' in error ? error.code : undefined

/** What `work` gives, or undefined if the file it needs is not there (or no more). */
export async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    // ESRCH is how /proc says that a process ended while it was read.
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH') return undefined
    throw error
  }
}

/** A file's text, or undefined if there is none. */
export const textOf = (path: string): Promise<string | undefined> => unlessMissing(readFile(path, 'utf8'))

/** Writes a file that only its owner can read, whole or not at all, and on the disk when this resolves. */
export async function writePrivate(path: string, text: string, owner?: Owner): Promise<void> {
  const draft = `${path}.new`
  const file = await open(draft, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  if (owner) await chown(draft, owner.uid, owner.gid)
  await rename(draft, path)
}

/**
 * The bytes that a file, or a directory with all below it, takes on the disk. Links are not followed. One directory after the
 * other, the files of each at once and without a thread: a cluster has a thousand, and is looked at again and again.
 */
export async function bytesUnder(path: string): Promise<number> {
  const self = lstatSync(path, { throwIfNoEntry: false })
  if (!self) return 0
  let bytes = self.blocks * 512
  if (!self.isDirectory()) return bytes
  for (const entry of (await unlessMissing(readdir(path, { withFileTypes: true }))) ?? []) {
    const below = join(path, entry.name)
    if (entry.isDirectory()) bytes += await bytesUnder(below)
    else bytes += (lstatSync(below, { throwIfNoEntry: false })?.blocks ?? 0) * 512
  }
  return bytes
}
