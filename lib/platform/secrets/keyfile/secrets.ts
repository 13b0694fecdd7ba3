import { link, open, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { Random } from '../../../kit/clock.ts'
import { syncFolder } from '../../../kit/os/files.ts'
import type { MasterKey, Secrets } from '../../../ports/secrets.ts'

const KEY_BYTES = 32

const File = z.object({
  current: z.string(),
  keys: z.array(z.object({ id: z.string().min(1).max(64), key: z.base64url() })).min(1),
})

interface Keys {
  current: MasterKey
  byId: Map<string, MasterKey>
}

/** A key file that is malformed or that others may open. The message never quotes its content. */
export class BadKeyFile extends Error {
  override name = 'BadKeyFile'
}

/**
 * Master keys in a JSON file, `{"current":"<id>","keys":[{"id":"…","key":"<32 bytes, base64url>"}]}`, created with one
 * key (mode 0600) at the first use; its folder must exist. Read once. Throws BadKeyFile for a file that is malformed or
 * that others may open; a file that was repaired is read at the next call.
 */
export function keyfileSecrets(path: string, random: Random): Secrets {
  let keys: Promise<Keys> | undefined
  const loadKeys = async () => {
    keys ??= load(path, random)
    try {
      return await keys
    } catch (error) {
      keys = undefined
      throw error
    }
  }
  return {
    current: async () => copy((await loadKeys()).current),
    byId: async id => {
      const key = (await loadKeys()).byId.get(id)
      return key && copy(key)
    },
  }
}

async function load(path: string, random: Random): Promise<Keys> {
  const text = (await read(path)) ?? (await create(path, random))
  return parse(path, text)
}

/** The content of the file; undefined if there is none. */
async function read(path: string): Promise<string | undefined> {
  const file = await open(path, 'r').catch(ignoring('ENOENT'))
  if (!file) return undefined
  try {
    // The open file is checked, not the path, so that the file read is the file checked.
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

/** Creates the file completely or not at all; if several processes try, one succeeds and all read that file. */
async function create(path: string, random: Random): Promise<string> {
  const id = random.uuid()
  const key = Buffer.from(random.bytes(KEY_BYTES)).toString('base64url')
  const draft = `${path}.${random.uuid()}.tmp`
  await write(draft, `${JSON.stringify({ current: id, keys: [{ id, key }] }, null, 2)}\n`)
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

/** An error handler that returns undefined for this system error and throws all others. */
function ignoring(code: string): (error: unknown) => undefined {
  return error => {
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === code) return undefined
    throw error
  }
}

/** Each caller gets its own bytes, so that none can change the cached ones. */
const copy = ({ id, bytes }: MasterKey): MasterKey => ({ id, bytes: bytes.slice() })
