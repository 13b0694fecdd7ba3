import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants, type Dirent } from 'node:fs'
import { type FileHandle, lchown, lstat, open, readdir, rmdir, unlink } from 'node:fs/promises'
import { platform } from 'node:os'
import { join } from 'node:path'
import { geteuid } from 'node:process'
import { codeOf } from '../lib/kit/errors.ts'
import { removeAll } from '../lib/kit/os/files.ts'
import { PROGRAM_PATH } from './config.ts'

/**
 * Removes a file or folder of which the parent belongs to this process's user. What is in a folder of another uid is
 * removed as that uid: nothing that it puts there leads root anywhere. Does nothing if there is none.
 */
export async function removeFolder(path: string): Promise<void> {
  const entry = await lstat(path).catch(ifMissing)
  if (!entry) return
  if (!entry.isDirectory() || entry.uid === geteuid?.()) return removeAll(path)
  await removeInside(path, entry.uid, '.')
  await rmdir(path).catch(async error => {
    if (codeOf(error) !== 'ENOTEMPTY') throw error
    // Files of yet another uid, such as those of a volume that was given to its owner in part.
    await forEachInside(path, (inner, child) => (child.isDirectory() ? rmdir(inner) : unlink(inner)))
    await rmdir(path)
  })
}

/** Removes an entry of a folder that a uid owns, as that uid; `.` is all of its content. */
export async function removeInside(folder: string, uid: number, name: string): Promise<void> {
  const remove = name === '.' ? 'find . -mindepth 1 -maxdepth 1 -exec rm -rf -- {} +' : 'rm -rf -- "$1"'
  // The owner may have closed folders to itself.
  const script = `${remove} || { chmod -R u+rwX -- "$1"; ${remove}; }`
  const child = spawn('/bin/sh', ['-c', script, 'sh', name], {
    uid,
    gid: uid,
    cwd: folder,
    stdio: 'ignore',
    env: { PATH: PROGRAM_PATH },
  })
  // It fails where something of another uid is left, which the caller sees.
  await once(child, 'exit')
}

/**
 * Gives a tree to a uid and its group, whoever else can write in it meanwhile. Links are left alone, and so is what
 * they lead to, and a file that has another name elsewhere.
 */
export async function giveFolder(path: string, uid: number): Promise<void> {
  await forEachInside(path, async (inner, child) => {
    if (child.isDirectory()) await lchown(inner, uid, uid)
    else if (child.isFile()) await giveFile(inner, uid)
  })
  await lchown(path, uid, uid)
}

async function giveFile(path: string, uid: number): Promise<void> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const { nlink } = await file.stat()
    if (nlink !== 1) throw new Error('a file of a new volume has a second name')
    await file.chown(uid, uid)
  } finally {
    await file.close()
  }
}

type Visit = (path: string, entry: Dirent) => Promise<void>

/** Visits all entries of a folder, the innermost first, by folders that are open: none of them can become a link. */
async function forEachInside(path: string, visit: Visit): Promise<void> {
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    const through = pathOf(folder, path)
    for (const entry of await readdir(through, { withFileTypes: true })) {
      const inner = join(through, entry.name)
      if (entry.isDirectory()) await forEachInside(inner, visit)
      await visit(inner, entry)
    }
  } finally {
    await folder.close()
  }
}

/** The path of an open folder, wherever it is now. Other systems than Linux have none. */
const pathOf = (folder: FileHandle, path: string) => (platform() === 'linux' ? `/proc/self/fd/${folder.fd}` : path)

function ifMissing(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error
}
