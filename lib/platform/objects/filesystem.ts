import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, mkdir, open, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Random } from '../../kit/clock.ts'
import { codeOf } from '../../kit/errors.ts'
import {
  BadChecksum,
  checkKey,
  checkPrefix,
  checkRange,
  NoSuchObject,
  type ObjectInfo,
  type Objects,
} from './objects.ts'

/** Where contents are written before they get their name; no key begins with a dot. */
const DRAFTS = '.drafts'
/** Before the names of files, so that `a` and `a/b` can both be: no key has it. */
const FILE = '='
/** A folder may vanish between its making and its use. */
const TRIES = 10
const LIST_MOST = 1_000

/** Something below the store's folder that this store did not make: a link, say. It is neither followed nor replaced. */
export class ForeignFile extends Error {
  override name = 'ForeignFile'
}

/**
 * Objects as files in a folder (made if it is not there, for its owner alone), which only Coffer writes to; any number of
 * processes may. Files get their names when they are whole and on the disk. Links are never followed.
 */
export function filesystemObjects(root: string, { random }: { random: Random }): Objects {
  const folderOf = (key: string) => join(root, ...key.split('/').slice(0, -1))
  const pathOf = (key: string) => join(folderOf(key), FILE + key.split('/').at(-1))

  /** Throws ForeignFile if something on the way to a file is no folder. */
  async function checkWay(folder: string): Promise<void> {
    for (let path = folder; path !== root; path = dirname(path)) {
      const stat = await lstat(path).catch(unless('ENOENT', 'ENOTDIR'))
      if (stat && !stat.isDirectory()) throw new ForeignFile(`${path} is no folder`)
    }
  }

  async function opened(key: string) {
    checkKey(key)
    await checkWay(folderOf(key))
    const file = await open(pathOf(key), constants.O_RDONLY | constants.O_NOFOLLOW).catch(error => {
      if (codeOf(error) === 'ELOOP') throw new ForeignFile(`${pathOf(key)} is a link`)
      return unless('ENOENT', 'ENOTDIR')(error)
    })
    if (!file) return undefined
    const stat = await file.stat()
    if (stat.isFile()) return { file, info: { key, size: stat.size, modified: Math.floor(stat.mtimeMs) } }
    await file.close()
    throw new ForeignFile(`${pathOf(key)} is no file`)
  }

  async function named(draft: string, key: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await checkWay(folderOf(key))
      await mkdir(folderOf(key), { recursive: true, mode: 0o700 })
      try {
        await rename(draft, pathOf(key))
        break
      } catch (error) {
        if (codeOf(error) !== 'ENOENT' || attempt === TRIES) throw error
      }
    }
    for (let path = folderOf(key); ; path = dirname(path)) {
      await synced(path)
      if (path === root) return
    }
  }

  async function remove(key: string): Promise<boolean> {
    await checkWay(folderOf(key))
    const removed = await rm(pathOf(key)).then(() => true, unless('ENOENT', 'ENOTDIR'))
    for (let path = folderOf(key); path !== root; path = dirname(path)) {
      const gone = await rmdir(path).then(() => true, unless('ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR'))
      if (!gone) break
    }
    return removed ?? false
  }

  /** The keys below a folder, in no order. */
  async function* keysIn(folder: string, above: string): AsyncGenerator<string> {
    const entries = (await readdir(folder, { withFileTypes: true }).catch(unless('ENOENT', 'ENOTDIR'))) ?? []
    for (const entry of entries) {
      if (entry.isFile() && entry.name.startsWith(FILE)) yield above + entry.name.slice(FILE.length)
      if (entry.isDirectory() && entry.name !== DRAFTS)
        yield* keysIn(join(folder, entry.name), `${above}${entry.name}/`)
    }
  }

  async function keysOf(prefix: string): Promise<string[]> {
    checkPrefix(prefix)
    const above = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    const folder = join(root, above)
    await checkWay(join(root, ...above.split('/').slice(0, -1)))
    const keys: string[] = []
    for await (const key of keysIn(folder, above)) if (key.startsWith(prefix)) keys.push(key)
    return keys.sort()
  }

  async function head(key: string): Promise<ObjectInfo | undefined> {
    const found = await opened(key)
    await found?.file.close()
    return found?.info
  }

  return {
    async put(key, content, { checksum } = {}) {
      checkKey(key)
      await mkdir(join(root, DRAFTS), { recursive: true, mode: 0o700 })
      const draft = join(root, DRAFTS, random.uuid())
      try {
        const written = await drafted(draft, content)
        if (checksum !== undefined && checksum !== written.checksum)
          throw new BadChecksum(`${key} has the SHA-256 ${written.checksum}, not ${checksum}`)
        await named(draft, key)
        return written
      } finally {
        await rm(draft, { force: true })
      }
    },
    async get(key, range = { from: 0 }) {
      checkRange(range)
      const found = await opened(key)
      if (!found) throw new NoSuchObject(key)
      const { from, to } = range
      return found.file.createReadStream({ start: from, ...(to !== undefined && { end: to - 1 }) })
    },
    head,
    async list(prefix, { after = '', limit }) {
      const keys = (await keysOf(prefix)).filter(key => key > after)
      const found: ObjectInfo[] = []
      for (const key of keys) {
        if (found.length >= Math.min(limit, LIST_MOST)) break
        const info = await head(key)
        if (info) found.push(info)
      }
      return found
    },
    async delete(key) {
      checkKey(key)
      await remove(key)
    },
    async deletePrefix(prefix) {
      if (prefix === '') throw new RangeError('an empty prefix')
      let count = 0
      for (const key of await keysOf(prefix)) if (await remove(key)) count++
      return count
    },
    async close() {},
  }
}

/** Writes the content to a new file and the disk. */
async function drafted(path: string, content: AsyncIterable<Uint8Array>): Promise<{ size: number; checksum: string }> {
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

/** A name is on the disk when its folder is. */
async function synced(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(unless('ENOENT'))
  if (!handle) return
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** A handler that lets some system errors pass as nothing. */
function unless(...codes: string[]): (error: unknown) => undefined {
  return error => {
    if (codes.includes(codeOf(error) ?? '')) return undefined
    throw error
  }
}
