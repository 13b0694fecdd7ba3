import type { z } from 'zod'
import { compactJwe, decryptJwe, encryptJwe, readCompactJwe } from './jwe.ts'
import type { Keys } from './keys.ts'
import { ERASED, mapSecrets } from './secret.ts'

/**
 * Encrypts the secret fields of stored values. `owner` binds a ciphertext to its record: copied to another record, it
 * cannot be decrypted.
 */
export interface Vault {
  /** The value with its secrets encrypted (JWE, A256GCM). */
  lock(schema: z.ZodType, value: unknown, owner: string): Promise<unknown>
  /** The value with its secrets decrypted. Throws if a secret was encrypted for another owner, altered or erased. */
  unlock(schema: z.ZodType, value: unknown, owner: string): Promise<unknown>
  /** The value with its secrets replaced by a placeholder. Needs no key. */
  erase(schema: z.ZodType, value: unknown): Promise<unknown>
}

/**
 * A vault whose keys are derived from the master key.
 *
 * @example
 * const User = z.object({ name: z.string(), password: secret(z.string()) })
 * const locked = await vault(keys).lock(User, { name: 'ann', password: 'pw' }, 'project-1/user#7')
 * // { name: 'ann', password: 'eyJhbGciOi…' }
 */
export function vault(keys: Keys): Vault {
  const encrypt = async (text: string, owner: string) => {
    const kid = await keys.currentId()
    const key = await keys.derive(kid, 'at-rest', owner)
    return compactJwe(encryptJwe(text, key, { kid }))
  }
  const decrypt = async (text: string, owner: string) => {
    const { jwe, kid } = readCompactJwe(text)
    return decryptJwe(jwe, await keys.derive(String(kid), 'at-rest', owner))
  }
  return {
    lock: (schema, value, owner) => mapSecrets(schema, value, text => encrypt(text, owner)),
    unlock: (schema, value, owner) => mapSecrets(schema, value, text => decrypt(text, owner)),
    erase: (schema, value) => mapSecrets(schema, value, async () => ERASED),
  }
}
