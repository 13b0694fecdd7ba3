import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import type { MasterKey, Secrets } from '../platform/secrets/secrets.ts'

/** Keys derived from the master keys by their use: never stored, always the same for the same parts. */
export interface Keys {
  /** The id of the master key that new things are sealed with. */
  currentId(): Promise<string>
  /** 32 bytes for this use, under the master key of that id. Throws if the key is not known. */
  derive(keyId: string, ...use: (string | number)[]): Promise<Uint8Array>
}

const CACHED = 10_000

/** HKDF-SHA256 over the master key; the use is the info, its parts length-prefixed so that no two uses collide. */
export function derivedKeys(secrets: Secrets): Keys {
  const cache = new Map<string, Uint8Array>()
  /** What RFC 5869 extracts of each master key, once: the second half alone costs a tenth of the whole. */
  const extracted = new Map<string, KeyObject>()
  return {
    currentId: async () => (await secrets.current()).id,
    async derive(keyId, ...use) {
      const info = [keyId, ...use].map(part => `${String(part).length}:${part}`).join('')
      const known = cache.get(info)
      if (known) return known
      const prk = extracted.get(keyId) ?? extract(await secrets.byId(keyId), keyId)
      extracted.set(keyId, prk)
      // The first block is all: it has as many bytes as a key.
      const key = new Uint8Array(createHmac('sha256', prk).update(info).update('\x01').digest())
      if (cache.size >= CACHED) cache.clear()
      cache.set(info, key)
      return key
    },
  }
}

function extract(master: MasterKey | undefined, keyId: string): KeyObject {
  if (!master) throw new Error(`unknown key ${keyId}`)
  return createSecretKey(createHmac('sha256', 'coffer').update(master.bytes).digest())
}
