import { chown, lstat, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf } from '../errors.ts'

/** The uid and gid to own a file or run a program, where they are not the process's own. */
export interface Owner {
  uid: number
  gid: number
}

/**
 * Writes a file so that a reader, or a restart after a crash, sees the old content or the new, never a part. Makes the
 * folders that are missing; `replaceFile` does not.
 */
export async function writeAtomically(path: string, content: string, mode = 0o600): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await replaceFile(path, content, { mode })
}

/** As writeAtomically, but throws ENOENT where the folder is missing: a folder that was removed does not come back. */
export async function replaceFile(
  path: string,
  content: string,
  { mode = 0o600, owner }: { mode?: number; owner?: Owner | undefined } = {},
): Promise<void> {
  const draft = `${path}.new`
  await writeFile(draft, content, { mode, flush: true })
  if (owner) await chown(draft, owner.uid, owner.gid)
  await rename(draft, path)
}

/** Whether there is a file or folder of that name; a link counts, whatever it points to. */
export const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  )

/** The value of a JSON file; undefined if there is no file. Throws SyntaxError for other content. */
export async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Removes a file, or a folder with its content. Does nothing if there is none. Does not follow links. */
export async function removeAll(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 })
}
