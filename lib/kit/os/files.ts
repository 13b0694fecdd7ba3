import { randomBytes } from 'node:crypto'
import { closeSync, constants, fsyncSync, openSync } from 'node:fs'
import { type FileHandle, lstat, open, readFile, rename, rm, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf } from '../errors.ts'

/** The uid and gid to own a file or run a program, where they are not the process's own. */
export interface Owner {
  uid: number
  gid: number
}

/** How the names of files end that are not complete; a process that dies leaves them. */
export const DRAFT_SUFFIX = '.new'

const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

/**
 * Writes a file so that a reader, or a restart after a crash, sees the old content or the new, never a part. Throws
 * ENOENT where the folder is missing: a folder that was removed does not come back. The draft is a new file with a name
 * that nobody can foresee: no link that another put there is followed. It is on the disk afterwards.
 */
export async function replaceFile(
  path: string,
  content: string,
  { mode = 0o600, owner }: { mode?: number; owner?: Owner | undefined } = {},
): Promise<void> {
  const draft = `${path}.${randomBytes(8).toString('hex')}${DRAFT_SUFFIX}`
  const file = await open(draft, NEW_FILE, 0o600)
  try {
    await writeNew(file, content, mode, owner)
    await moveInto(draft, path)
  } catch (error) {
    await unlink(draft).catch(() => undefined)
    throw error
  }
}

async function writeNew(file: FileHandle, content: string, mode: number, owner: Owner | undefined): Promise<void> {
  try {
    await file.writeFile(content)
    if (owner) await file.chown(owner.uid, owner.gid)
    // Not when it is opened: the umask would cut it.
    if (mode !== 0o600) await file.chmod(mode)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Renames a file or a folder, and waits until its new name is on the disk. Its content is the caller's to sync. */
export async function moveInto(from: string, path: string): Promise<void> {
  await rename(from, path)
  await syncFolder(dirname(path))
  if (dirname(from) !== dirname(path)) await syncFolder(dirname(from))
}

/** Writes a folder's names to the disk. Does nothing if there is no such folder, or if it may not be read. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(ignoreUnreadable)
  if (!folder) return
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** As syncFolder, for a start, while nobody is served. */
export function syncFolderSync(path: string): void {
  let folder: number | undefined
  try {
    folder = openSync(path, 'r')
    fsyncSync(folder)
  } catch (error) {
    ignoreUnreadable(error)
  } finally {
    if (folder !== undefined) closeSync(folder)
  }
}

function ignoreUnreadable(error: unknown): undefined {
  if (!['ENOENT', 'EACCES'].includes(codeOf(error) ?? '')) throw error
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
