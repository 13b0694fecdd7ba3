import type { Log } from '../lib/kit/clock.ts'
import type { SealKeys } from '../lib/kit/crypto/seal.ts'
import { messageOf } from '../lib/kit/errors.ts'
import type { HostConfig } from './config.ts'

type Access = Pick<HostConfig, 'kid' | 'keys'>

/**
 * A daemon's keys, as its file has them now: its launcher writes them anew when there is another master key. Those of
 * before stay usable, for messages that were sealed meanwhile.
 */
export function hostSealKeys(readConfig: () => Access, log: Pick<Log, 'warn'>): SealKeys {
  const byKid = new Map<string, Access['keys']>()
  let current = refresh(readConfig())

  function refresh({ kid, keys }: Access): string {
    byKid.set(kid, keys)
    return kid
  }

  function reread(): void {
    try {
      current = refresh(readConfig())
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'the configuration was not read again')
    }
  }

  return {
    async kid() {
      reread()
      return current
    },
    async key(kid, _subject, _generation, direction) {
      if (!byKid.has(kid)) reread()
      const keys = byKid.get(kid)
      if (!keys) throw new Error(`no keys of master key ${kid}`)
      return new Uint8Array(Buffer.from(keys[direction], 'base64url'))
    },
  }
}
