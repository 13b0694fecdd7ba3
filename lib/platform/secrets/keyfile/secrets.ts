import { link, open, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Clock, elapsedMs, type Log, type Random } from '../../../kit/clock.ts'
import { messageOf } from '../../../kit/errors.ts'
import { syncFolder } from '../../../kit/os/files.ts'
import type { Secrets } from '../../../ports/secrets.ts'
import { assertSameKeys, BadKeys, copyKey, type KeySet, parseKeys, writeKeyDocument } from '../key-set.ts'

const KEY_BYTES = 32
/** How often a process looks whether the file has changed. */
const CHECK_MS = 1_000

/** A key file that is malformed or that others may open. The message never quotes its content. */
export class BadKeyFile extends Error {
  override name = 'BadKeyFile'
}

interface KeyfileOptions {
  path: string
  random: Random
  clock: Pick<Clock, 'now'>
  log: Pick<Log, 'info' | 'error'>
}

/**
 * Master keys in a JSON file, `{"current":"<id>","keys":[{"id":"…","key":"<32 bytes, base64url>"}]}`, created with one
 * key (mode 0600) at the first use; its folder must exist. A changed file is read within a second. Throws BadKeyFile for
 * a file that is malformed or that others may open, unless it was good before: then the keys of before stay in use.
 */
export function keyfileSecrets(options: KeyfileOptions): Secrets {
  const file = new KeyFile(options)
  return {
    spreadMs: CHECK_MS,
    current: async () => copyKey((await file.keys()).current),
    ids: async () => [...(await file.keys()).byId.keys()],
    revoked: async () => (await file.keys()).revoked,
    byId: async id => {
      const key = (await file.keys()).byId.get(id)
      return key && copyKey(key)
    },
  }
}

/** The file's keys, as it was read last. */
class KeyFile {
  readonly #options: KeyfileOptions
  #keys: KeySet | undefined
  /** The state of the file that was read last, good or bad. */
  #stamp: string | undefined
  #checkedAt = 0
  #checking: Promise<KeySet> | undefined

  constructor(options: KeyfileOptions) {
    this.#options = options
  }

  async keys(): Promise<KeySet> {
    const { clock } = this.#options
    if (this.#keys && elapsedMs(clock.now(), this.#checkedAt) < CHECK_MS) return this.#keys
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined
    })
    return this.#checking
  }

  async #check(): Promise<KeySet> {
    const { path, random, clock, log } = this.#options
    const before = this.#keys
    this.#checkedAt = clock.now()
    if (!before) {
      const stamp = await stampOf(path)
      this.#keys = parse(path, (await read(path)) ?? (await create(path, random)))
      this.#stamp = stamp
      return this.#keys
    }
    const stamp = await stampOf(path)
    if (stamp === this.#stamp) return before
    this.#stamp = stamp
    try {
      this.#keys = await reread(path, before)
      log.info({ key: this.#keys.current.id, keys: [...this.#keys.byId.keys()] }, 'the key file was read again')
    } catch (error) {
      log.error({ error: messageOf(error) }, 'the changed key file is not used')
    }
    return this.#keys ?? before
  }
}

async function reread(path: string, before: KeySet): Promise<KeySet> {
  const text = await read(path)
  if (text === undefined) throw new BadKeyFile(`key file ${path} does not exist`)
  const keys = parse(path, text)
  inFile(path, () => assertSameKeys(before, keys))
  return keys
}

/** What changes whenever the file does; empty if there is none. */
async function stampOf(path: string): Promise<string> {
  const info = await stat(path, { bigint: true }).catch(ignoring('ENOENT'))
  return info ? [info.ino, info.size, info.mtimeNs, info.ctimeNs].join(' ') : ''
}

/** The content of the file; undefined if there is none. */
async function read(path: string): Promise<string | undefined> {
  const file = await open(path, 'r').catch(ignoring('ENOENT'))
  if (!file) return undefined
  try {
    // The open file is checked, not the path, so that the file read is the file checked.
    const info = await file.stat()
    if (!info.isFile()) throw new BadKeyFile(`key file ${path} is not a file`)
    if (info.mode & 0o077) {
      const mode = (info.mode & 0o777).toString(8)
      throw new BadKeyFile(`key file ${path} is open to others (mode ${mode}); make it 600`)
    }
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

/** Creates the file completely or not at all; if several processes try, one succeeds and all read that file. */
async function create(path: string, random: Random): Promise<string> {
  const id = random.uuid()
  const key = Buffer.from(random.bytes(KEY_BYTES)).toString('base64url')
  const draft = `${path}.${random.uuid()}.tmp`
  await write(draft, writeKeyDocument({ current: id, keys: [{ id, key }] }))
  try {
    // Unlike a rename, a link never replaces a key that another process has just created and may have sealed with.
    await link(draft, path).catch(ignoring('EEXIST'))
  } finally {
    await unlink(draft)
  }
  // What is sealed with a key is lost with it.
  await syncFolder(dirname(path))
  const text = await read(path)
  if (text === undefined) throw new BadKeyFile(`key file ${path} vanished while it was created`)
  return text
}

async function write(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

const parse = (path: string, text: string): KeySet => inFile(path, () => parseKeys(text).set)

/** Names the file in what is wrong with its keys. */
function inFile<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw error instanceof BadKeys ? new BadKeyFile(`key file ${path} ${error.message}`) : error
  }
}

/** An error handler that returns undefined for this system error and throws all others. */
function ignoring(code: string): (error: unknown) => undefined {
  return error => {
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === code) return undefined
    throw error
  }
}
