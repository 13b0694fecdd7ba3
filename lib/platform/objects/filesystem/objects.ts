import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, mkdir, open, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Random } from '../../../kit/clock.ts'
import { codeOf } from '../../../kit/errors.ts'
import { syncFolder } from '../../../kit/os/files.ts'
import {
  BadChecksum,
  type ByteRange,
  checkKey,
  checkPrefix,
  checkRange,
  NoSuchObject,
  type ObjectInfo,
  type Objects,
  type PutOptions,
} from '../../../ports/objects.ts'

/** The folder of contents that are being written; no key begins with a dot. */
const DRAFTS = '.drafts'
/** Goes before the names of files, so that the keys `a` and `a/b` can both exist; no key contains it. */
const FILE_PREFIX = '='
/** Tries of a rename: another process may remove the folder between its creation and its use. */
const MAX_TRIES = 10
const MAX_LIST = 1_000

/** A file or link in the store's folder that the store did not create. It is neither followed nor replaced. */
export class ForeignFile extends Error {
  override name = 'ForeignFile'
}

/**
 * Objects as files in a folder (created if it does not exist, for its owner alone) that only Coffer may write to, in
 * any number of processes. A file gets its name when it is complete and on the disk. Links are never followed.
 */
export function filesystemObjects(root: string, { random }: { random: Random }): Objects {
  return new FilesystemObjects(root, random)
}

class FilesystemObjects implements Objects {
  readonly #root: string
  readonly #random: Random

  constructor(root: string, random: Random) {
    this.#root = root
    this.#random = random
  }

  async put(key: string, content: AsyncIterable<Uint8Array>, { checksum }: PutOptions = {}) {
    checkKey(key)
    const drafts = join(this.#root, DRAFTS)
    await mkdir(drafts, { recursive: true, mode: 0o700 })
    const draft = join(drafts, this.#random.uuid())
    try {
      const written = await writeDraft(draft, content)
      if (checksum !== undefined && checksum !== written.checksum)
        throw new BadChecksum(`${key} has the SHA-256 ${written.checksum}, not ${checksum}`)
      await this.#publish(draft, key)
      return written
    } finally {
      await rm(draft, { force: true })
    }
  }

  async get(key: string, range: ByteRange = { from: 0 }): Promise<AsyncIterable<Uint8Array>> {
    checkRange(range)
    const object = await this.#open(key)
    if (!object) throw new NoSuchObject(key)
    const { from, to } = range
    return object.file.createReadStream({ start: from, ...(to !== undefined && { end: to - 1 }) })
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    const object = await this.#open(key)
    await object?.file.close()
    return object?.info
  }

  async list(prefix: string, { after = '', limit }: { after?: string; limit: number }): Promise<ObjectInfo[]> {
    const keys = (await this.#keys(prefix)).filter(key => key > after)
    const objects: ObjectInfo[] = []
    for (const key of keys) {
      if (objects.length >= Math.min(limit, MAX_LIST)) break
      const info = await this.head(key)
      if (info) objects.push(info)
    }
    return objects
  }

  async delete(key: string): Promise<void> {
    checkKey(key)
    await this.#remove(key)
  }

  async deletePrefix(prefix: string): Promise<number> {
    if (prefix === '') throw new RangeError('an empty prefix')
    let count = 0
    for (const key of await this.#keys(prefix)) if (await this.#remove(key)) count++
    return count
  }

  async close(): Promise<void> {}

  #folder(key: string): string {
    return join(this.#root, ...key.split('/').slice(0, -1))
  }

  #path(key: string): string {
    return join(this.#folder(key), FILE_PREFIX + key.split('/').at(-1))
  }

  /** Throws ForeignFile if something on the path to a folder is not a folder. */
  async #checkFolders(folder: string): Promise<void> {
    for (let path = folder; path !== this.#root; path = dirname(path)) {
      const stat = await lstat(path).catch(ignoring('ENOENT', 'ENOTDIR'))
      if (stat && !stat.isDirectory()) throw new ForeignFile(`${path} is not a folder`)
    }
  }

  async #open(key: string) {
    checkKey(key)
    await this.#checkFolders(this.#folder(key))
    const path = this.#path(key)
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(error => {
      if (codeOf(error) === 'ELOOP') throw new ForeignFile(`${path} is a link`)
      return ignoring('ENOENT', 'ENOTDIR')(error)
    })
    if (!file) return undefined
    const stat = await file.stat()
    if (stat.isFile()) return { file, info: { key, size: stat.size, modified: Math.floor(stat.mtimeMs) } }
    await file.close()
    throw new ForeignFile(`${path} is not a file`)
  }

  /** Gives a draft its name, and waits until the name is on the disk. */
  async #publish(draft: string, key: string): Promise<void> {
    const folder = this.#folder(key)
    for (let attempt = 1; ; attempt++) {
      await this.#checkFolders(folder)
      await mkdir(folder, { recursive: true, mode: 0o700 })
      try {
        await rename(draft, this.#path(key))
        break
      } catch (error) {
        if (codeOf(error) !== 'ENOENT' || attempt === MAX_TRIES) throw error
      }
    }
    for (let path = folder; ; path = dirname(path)) {
      await syncFolder(path)
      if (path === this.#root) return
    }
  }

  /** Removes the object and the folders that become empty; returns whether there was one. */
  async #remove(key: string): Promise<boolean> {
    await this.#checkFolders(this.#folder(key))
    const isRemoved = await rm(this.#path(key)).then(() => true, ignoring('ENOENT', 'ENOTDIR'))
    for (let path = this.#folder(key); path !== this.#root; path = dirname(path)) {
      const isFolderRemoved = await rmdir(path).then(() => true, ignoring('ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR'))
      if (!isFolderRemoved) break
    }
    return isRemoved ?? false
  }

  /** The keys that begin with the prefix, in order. */
  async #keys(prefix: string): Promise<string[]> {
    checkPrefix(prefix)
    const parent = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    await this.#checkFolders(join(this.#root, ...parent.split('/').slice(0, -1)))
    const keys: string[] = []
    for await (const key of keysBelow(join(this.#root, parent), parent)) if (key.startsWith(prefix)) keys.push(key)
    return keys.sort()
  }
}

/** The keys below a folder, in no order; `parent` is the folder's part of them. */
async function* keysBelow(folder: string, parent: string): AsyncGenerator<string> {
  const entries = (await readdir(folder, { withFileTypes: true }).catch(ignoring('ENOENT', 'ENOTDIR'))) ?? []
  for (const entry of entries) {
    if (entry.isFile() && entry.name.startsWith(FILE_PREFIX)) yield parent + entry.name.slice(FILE_PREFIX.length)
    if (entry.isDirectory() && entry.name !== DRAFTS)
      yield* keysBelow(join(folder, entry.name), `${parent}${entry.name}/`)
  }
}

/** Writes the content to a new file, and waits until it is on the disk. */
async function writeDraft(
  path: string,
  content: AsyncIterable<Uint8Array>,
): Promise<{ size: number; checksum: string }> {
  const hash = createHash('sha256')
  let size = 0
  const file = await open(path, 'wx', 0o600)
  try {
    for await (const piece of content) {
      hash.update(piece)
      size += piece.length
      await file.writeFile(piece)
    }
    await file.sync()
  } finally {
    await file.close()
  }
  return { size, checksum: hash.digest('hex') }
}

/** An error handler that returns undefined for these system errors and throws all others. */
function ignoring(...codes: string[]): (error: unknown) => undefined {
  return error => {
    if (codes.includes(codeOf(error) ?? '')) return undefined
    throw error
  }
}
