import type { z } from 'zod'
import { compactJwe, decryptJwe, encryptJwe, readCompactJwe } from './jwe.ts'
import type { Keys } from './keys.ts'
import { ERASED, mapSecrets } from './secret.ts'

/** Encrypts the secret fields of what is stored. `owner` binds a ciphertext to its record: moved elsewhere, it does not open. */
export interface Vault {
  /** The value with its secrets encrypted (JWE, A256GCM). */
  lock(schema: z.ZodType, value: unknown, owner: string): Promise<unknown>
  unlock(schema: z.ZodType, value: unknown, owner: string): Promise<unknown>
  /** The value with its secrets gone. */
  erase(schema: z.ZodType, value: unknown): Promise<unknown>
}

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
