import type { MasterKey, Secrets } from '../../lib/ports/secrets.ts'
import { seededRandom } from './random.ts'

/** A master key that is the same for the same seed. */
export const masterKey = (id: string, seed: number): MasterKey => ({ id, bytes: seededRandom(seed).bytes(32) })

/** The master keys in an array, which a test may change. The last one is the current one. */
export function secretsOf(masters: MasterKey[], revoked: string[] = []): Secrets {
  return {
    spreadMs: 1_000,
    async current() {
      const current = masters.at(-1)
      if (!current) throw new Error('no master key')
      return current
    },
    ids: async () => masters.map(({ id }) => id),
    revoked: async () => revoked,
    byId: async id => masters.find(master => master.id === id),
  }
}
