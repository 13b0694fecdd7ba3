import { link, open, unlink } from 'node:fs/promises'
import { z } from 'zod'
import type { Random } from '../../kit/clock.ts'
import type { MasterKey, Secrets } from './secrets.ts'

const KEY_BYTES = 32

const File = z.object({
  current: z.string(),
  keys: z.array(z.object({ id: z.string().min(1).max(64), key: z.base64url() })).min(1),
})

interface Keys {
  current: MasterKey
  byId: Map<string, MasterKey>
}

/** A key file that cannot be trusted or understood. The message never quotes its content. */
export class BadKeyFile extends Error {
  override name = 'BadKeyFile'
}

/**
 * Master keys in a JSON file, `{"current":"<id>","keys":[{"id":"…","key":"<32 bytes, base64url>"}]}`, made with one key
 * (mode 0600) at the first use; its folder must exist. Read once. Rejects with BadKeyFile for a file that others may
 * open or that is malformed; a mended file is read at the next call.
 */
export function keyfileSecrets(path: string, random: Random): Secrets {
  let keys: Promise<Keys> | undefined
  const loaded = async () => {
    keys ??= load(path, random)
    try {
      return await keys
    } catch (error) {
      keys = undefined
      throw error
    }
  }
  return {
    current: async () => copy((await loaded()).current),
    byId: async id => {
      const key = (await loaded()).byId.get(id)
      return key && copy(key)
    },
  }
}

async function load(path: string, random: Random): Promise<Keys> {
  const text = (await read(path)) ?? (await make(path, random))
  return parse(path, text)
}

/** The content of the file, or nothing if there is none. */
async function read(path: string): Promise<string | undefined> {
  const file = await open(path, 'r').catch(unless('ENOENT'))
  if (!file) return undefined
  try {
    // Asked of the open file, not of the path: what is checked is what is read.
    const stat = await file.stat()
    if (!stat.isFile()) throw new BadKeyFile(`key file ${path} is not a file`)
    if (stat.mode & 0o077) {
      const mode = (stat.mode & 0o777).toString(8)
      throw new BadKeyFile(`key file ${path} is open to others (mode ${mode}); make it 600`)
    }
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

/** Makes the file whole or not at all; of several at once, one makes it and all read that one. */
async function make(path: string, random: Random): Promise<string> {
  const id = random.uuid()
  const key = Buffer.from(random.bytes(KEY_BYTES)).toString('base64url')
  const draft = `${path}.${random.uuid()}.tmp`
  await write(draft, `${JSON.stringify({ current: id, keys: [{ id, key }] }, null, 2)}\n`)
  try {
    // A link, unlike a rename, never replaces a key that somebody else has just made and sealed things with.
    await link(draft, path).catch(unless('EEXIST'))
  } finally {
    await unlink(draft)
  }
  const text = await read(path)
  if (text === undefined) throw new BadKeyFile(`key file ${path} vanished while it was made`)
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

function parse(path: string, text: string): Keys {
  const parsed = File.safeParse(json(path, text))
  if (!parsed.success) throw new BadKeyFile(`key file ${path} is malformed`)
  const byId = new Map<string, MasterKey>()
  for (const { id, key } of parsed.data.keys) {
    const bytes = new Uint8Array(Buffer.from(key, 'base64url'))
    if (bytes.length !== KEY_BYTES) throw new BadKeyFile(`key file ${path}: key ${id} is not of ${KEY_BYTES} bytes`)
    if (byId.has(id)) throw new BadKeyFile(`key file ${path}: key ${id} occurs twice`)
    byId.set(id, { id, bytes })
  }
  const current = byId.get(parsed.data.current)
  if (!current) throw new BadKeyFile(`key file ${path}: the current key is not among the keys`)
  return { current, byId }
}

function json(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new BadKeyFile(`key file ${path} is not JSON`)
  }
}

/** A handler that lets one system error pass as nothing. */
function unless(code: string): (error: unknown) => undefined {
  return error => {
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === code) return undefined
    throw error
  }
}

/** Callers get bytes of their own: nobody can spoil the cache. */
const copy = ({ id, bytes }: MasterKey): MasterKey => ({ id, bytes: bytes.slice() })
