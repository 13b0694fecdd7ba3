import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose'
import type { z } from 'zod'
import type { Keys } from './keys.ts'
import { ERASED, mapSecrets } from './secret.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

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
    return new CompactEncrypt(encoder.encode(text)).setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid }).encrypt(key)
  }
  const decrypt = async (text: string, owner: string) => {
    const { kid } = decodeProtectedHeader(text)
    const { plaintext } = await compactDecrypt(text, await keys.derive(String(kid), 'at-rest', owner))
    return decoder.decode(plaintext)
  }
  return {
    lock: (schema, value, owner) => mapSecrets(schema, value, text => encrypt(text, owner)),
    unlock: (schema, value, owner) => mapSecrets(schema, value, text => decrypt(text, owner)),
    erase: (schema, value) => mapSecrets(schema, value, async () => ERASED),
  }
}
