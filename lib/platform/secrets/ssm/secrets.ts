import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm'
import type { Clock } from '../../../kit/clock.ts'
import type { Secrets } from '../../../ports/secrets.ts'
import { type AwsConnection, clientOptions, errorName, lazyClient } from '../../aws/connection.ts'
import { assertSameKeys, BadKeys, copyKey, type KeySet, parseKeys } from '../key-set.ts'

/** How long the keys are cached: a new key is used after this long at the latest. */
const CACHE_MS = 300_000

/** The parameter is missing or malformed. The message never quotes its value. */
export class BadParameter extends Error {
  override name = 'BadParameter'
}

interface CachedKeys extends KeySet {
  /** When they must be read again, in milliseconds since the epoch. */
  until: number
}

/**
 * Master keys in one SecureString of SSM's Parameter Store, `{"current":"<id>","keys":[{"id":"…","key":"<32 bytes,
 * base64url>"}]}` (the key file's format), which the deployment creates. It is read at run time and cached for five
 * minutes; an unknown id makes it read again, at most once in that time. Throws BadParameter.
 */
export function ssmSecrets(options: { connection: AwsConnection; parameter: string; clock: Clock }): Secrets {
  const { connection, parameter, clock } = options
  const client = lazyClient(() => new SSMClient(clientOptions(connection)))
  let keys: Promise<CachedKeys> | undefined
  let last: KeySet | undefined
  /** From when on an unknown id may make it read again. */
  let reloadAllowedAt = 0

  async function readParameter(): Promise<CachedKeys> {
    try {
      const { Parameter } = await client.get().send(new GetParameterCommand({ Name: parameter, WithDecryption: true }))
      const { set } = parseKeys(Parameter?.Value ?? '')
      if (last) assertSameKeys(last, set)
      last = set
      return { ...set, until: clock.now() + CACHE_MS }
    } catch (error) {
      if (errorName(error) === 'ParameterNotFound') throw new BadParameter(`there is no parameter ${parameter}`)
      throw error instanceof BadKeys ? new BadParameter(`parameter ${parameter} ${error.message}`) : error
    }
  }

  async function loadKeys(): Promise<CachedKeys> {
    if (keys && (await keys.catch(() => undefined).then(cached => !cached || cached.until <= clock.now())))
      keys = undefined
    keys ??= readParameter()
    return await keys
  }

  return {
    spreadMs: CACHE_MS,
    current: async () => copyKey((await loadKeys()).current),
    ids: async () => [...(await loadKeys()).byId.keys()],
    revoked: async () => (await loadKeys()).revoked,
    async byId(id) {
      const cached = (await loadKeys()).byId.get(id)
      if (cached) return copyKey(cached)
      if (clock.now() < reloadAllowedAt) return undefined
      reloadAllowedAt = clock.now() + CACHE_MS
      keys = undefined
      const added = (await loadKeys()).byId.get(id)
      return added && copyKey(added)
    },
  }
}
