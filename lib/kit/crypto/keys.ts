import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import type { MasterKey, Secrets } from '../../ports/secrets.ts'

/** Keys derived from the master keys. They are never stored; the same use always gives the same key. */
export interface Keys {
  /** The id of the current master key, for everything that is newly encrypted. */
  currentId(): Promise<string>
  /** The ids of all master keys. There are several while they are rotated. */
  ids(): Promise<string[]>
  /** The ids of removed master keys that others may have. */
  revoked(): Promise<string[]>
  /** Milliseconds after which all processes use a new current master key. */
  spreadMs: number
  /** The key (32 bytes) for this use, from the master key `keyId`. Throws if there is no such master key any more. */
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
    ids: () => secrets.ids(),
    revoked: () => secrets.revoked(),
    spreadMs: secrets.spreadMs,
    async derive(keyId, ...use) {
      const master = await secrets.byId(keyId)
      if (!master) throw new Error(`unknown key ${keyId}`)
      const info = [keyId, ...use].map(part => `${String(part).length}:${part}`).join('')
      const cached = cache.get(info)
      if (cached) return cached
      const prk = extracted.get(keyId) ?? extract(master)
      extracted.set(keyId, prk)
      // The expand step needs one block only: it is as long as a key.
      const key = new Uint8Array(createHmac('sha256', prk).update(info).update('\x01').digest())
      if (cache.size >= MAX_CACHED) cache.clear()
      cache.set(info, key)
      return key
    },
  }
}

/** The id if its master key is still there, else the current one. */
export async function usableKeyId(keys: Keys, keyId: string | undefined): Promise<string> {
  return keyId !== undefined && (await keys.ids()).includes(keyId) ? keyId : keys.currentId()
}

/** The extract step of HKDF. */
function extract(master: MasterKey): KeyObject {
  return createSecretKey(createHmac('sha256', 'coffer').update(master.bytes).digest())
}
