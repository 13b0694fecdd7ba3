import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import type { MasterKey, Secrets } from '../../ports/secrets.ts'

/** Keys derived from the master keys. They are never stored; the same use always gives the same key. */
export interface Keys {
  /** The id of the current master key, for everything that is newly encrypted. */
  currentId(): Promise<string>
  /** The key (32 bytes) for this use, from the master key `keyId`. Throws if there is no such master key. */
  derive(keyId: string, ...use: (string | number)[]): Promise<Uint8Array>
}

const MAX_CACHED = 10_000

/** HKDF-SHA256 over the master key. The info is the use, with length-prefixed parts so that no two uses collide. */
export function derivedKeys(secrets: Secrets): Keys {
  const cache = new Map<string, Uint8Array>()
  /**
   * The pseudorandom key of each master key (the extract step of RFC 5869). Caching it makes a derivation ten times
   * cheaper.
   */
  const extracted = new Map<string, KeyObject>()
  return {
    currentId: async () => (await secrets.current()).id,
    async derive(keyId, ...use) {
      const info = [keyId, ...use].map(part => `${String(part).length}:${part}`).join('')
      const cached = cache.get(info)
      if (cached) return cached
      const prk = extracted.get(keyId) ?? extract(await secrets.byId(keyId), keyId)
      extracted.set(keyId, prk)
      // The expand step needs one block only: it is as long as a key.
      const key = new Uint8Array(createHmac('sha256', prk).update(info).update('\x01').digest())
      if (cache.size >= MAX_CACHED) cache.clear()
      cache.set(info, key)
      return key
    },
  }
}

/** The extract step of HKDF. */
function extract(master: MasterKey | undefined, keyId: string): KeyObject {
  if (!master) throw new Error(`unknown key ${keyId}`)
  return createSecretKey(createHmac('sha256', 'coffer').update(master.bytes).digest())
}
