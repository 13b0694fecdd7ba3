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
  /** The value with each secret of the owner that an older master key encrypts encrypted with the current one. */
  renew(value: unknown, owner: string): Promise<{ value: unknown; renewed: number }>
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
    async renew(value, owner) {
      let renewed = 0
      const current = await keys.currentId()
      const change = async (text: string) => {
        if (!isOfOtherKey(text, current)) return text
        // What cannot be decrypted only looks like a secret, or is lost already.
        const plain = await decrypt(text, owner).catch(() => undefined)
        if (plain === undefined) return text
        renewed += 1
        return encrypt(plain, owner)
      }
      return { value: await mapStrings(value, change), renewed }
    },
    lock: (schema, value, owner) => mapSecrets(schema, value, text => encrypt(text, owner)),
    unlock: (schema, value, owner) => mapSecrets(schema, value, text => decrypt(text, owner)),
    erase: (schema, value) => mapSecrets(schema, value, async () => ERASED),
  }
}

/** How each compact JWE begins: with `{"` in base64url. */
const JWE_START = 'eyJ'

/** Whether the text is a compact JWE of another master key. */
function isOfOtherKey(text: string, current: string): boolean {
  if (!text.startsWith(JWE_START)) return false
  try {
    const { kid } = readCompactJwe(text)
    return kid !== undefined && kid !== current
  } catch {
    return false
  }
}

/** A copy of the JSON value in which `change` is applied to every string, names of fields left out. */
async function mapStrings(value: unknown, change: (text: string) => Promise<string>): Promise<unknown> {
  if (typeof value === 'string') return change(value)
  if (Array.isArray(value)) return Promise.all(value.map(item => mapStrings(item, change)))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(async ([name, field]) => [name, await mapStrings(field, change)] as const)
  return Object.fromEntries(await Promise.all(entries))
}
