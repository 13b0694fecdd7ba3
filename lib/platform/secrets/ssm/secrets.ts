import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm'
import { z } from 'zod'
import type { Clock } from '../../../kit/clock.ts'
import type { MasterKey, Secrets } from '../../../ports/secrets.ts'
import { type AwsConnection, clientOptions, errorName, lazyClient } from '../../aws/connection.ts'

const KEY_BYTES = 32
/** How long the keys are cached: a new key is used after this long at the latest. */
const CACHE_MS = 300_000

const Value = z.object({
  current: z.string(),
  keys: z.array(z.object({ id: z.string().min(1).max(64), key: z.base64url() })).min(1),
})

/** The parameter is missing or malformed. The message never quotes its value. */
export class BadParameter extends Error {
  override name = 'BadParameter'
}

interface Keys {
  current: MasterKey
  byId: Map<string, MasterKey>
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
  let keys: Promise<Keys> | undefined
  /** From when on an unknown id may make it read again. */
  let reloadAllowedAt = 0

  async function readParameter(): Promise<Keys> {
    try {
      const { Parameter } = await client.get().send(new GetParameterCommand({ Name: parameter, WithDecryption: true }))
      return { ...parse(parameter, Parameter?.Value ?? ''), until: clock.now() + CACHE_MS }
    } catch (error) {
      if (errorName(error) === 'ParameterNotFound') throw new BadParameter(`there is no parameter ${parameter}`)
      throw error
    }
  }

  async function loadKeys(): Promise<Keys> {
    if (keys && (await keys.catch(() => undefined).then(cached => !cached || cached.until <= clock.now())))
      keys = undefined
    keys ??= readParameter()
    return await keys
  }

  return {
    current: async () => copy((await loadKeys()).current),
    async byId(id) {
      const cached = (await loadKeys()).byId.get(id)
      if (cached) return copy(cached)
      if (clock.now() < reloadAllowedAt) return undefined
      reloadAllowedAt = clock.now() + CACHE_MS
      keys = undefined
      const added = (await loadKeys()).byId.get(id)
      return added && copy(added)
    },
  }
}

function parse(parameter: string, text: string): Omit<Keys, 'until'> {
  const value = Value.safeParse(json(parameter, text))
  if (!value.success) throw new BadParameter(`parameter ${parameter} is malformed`)
  const byId = new Map<string, MasterKey>()
  for (const { id, key } of value.data.keys) {
    const bytes = new Uint8Array(Buffer.from(key, 'base64url'))
    if (bytes.length !== KEY_BYTES)
      throw new BadParameter(`parameter ${parameter}: key ${id} is not of ${KEY_BYTES} bytes`)
    if (byId.has(id)) throw new BadParameter(`parameter ${parameter}: key ${id} occurs twice`)
    byId.set(id, { id, bytes })
  }
  const current = byId.get(value.data.current)
  if (!current) throw new BadParameter(`parameter ${parameter}: the current key is not among the keys`)
  return { current, byId }
}

function json(parameter: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new BadParameter(`parameter ${parameter} is not JSON`)
  }
}

/** Each caller gets its own bytes, so that none can change the cached ones. */
const copy = ({ id, bytes }: MasterKey): MasterKey => ({ id, bytes: bytes.slice() })
