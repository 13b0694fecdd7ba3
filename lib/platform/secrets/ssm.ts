import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm'
import { z } from 'zod'
import type { Clock } from '../../kit/clock.ts'
import { type AwsConnection, clientOptions, nameOf, onUse } from '../aws.ts'
import type { MasterKey, Secrets } from './secrets.ts'

const KEY_BYTES = 32
/** A key that was added is used after so long at the latest. */
const KEPT_MS = 300_000

const Value = z.object({
  current: z.string(),
  keys: z.array(z.object({ id: z.string().min(1).max(64), key: z.base64url() })).min(1),
})

/** The parameter is missing or cannot be understood. The message never quotes its value. */
export class BadParameter extends Error {
  override name = 'BadParameter'
}

interface Keys {
  current: MasterKey
  byId: Map<string, MasterKey>
  until: number
}

/**
 * Master keys in one SecureString of SSM's Parameter Store, `{"current":"<id>","keys":[{"id":"…","key":"<32 bytes, base64url>"}]}`
 * (the key file's form), which the deployment makes. Read at run time, and kept for five minutes; an id that is not among
 * the keys kept has them read anew, at most once in that time. Rejects with BadParameter.
 */
export function ssmSecrets(options: { connection: AwsConnection; parameter: string; clock: Clock }): Secrets {
  const { connection, parameter, clock } = options
  const client = onUse(() => new SSMClient(clientOptions(connection)))
  let keys: Promise<Keys> | undefined
  /** When an unknown id may have them read again. */
  let askAgain = 0

  async function load(): Promise<Keys> {
    try {
      const { Parameter } = await client.get().send(new GetParameterCommand({ Name: parameter, WithDecryption: true }))
      return { ...parsed(parameter, Parameter?.Value ?? ''), until: clock.now() + KEPT_MS }
    } catch (error) {
      if (nameOf(error) === 'ParameterNotFound') throw new BadParameter(`there is no parameter ${parameter}`)
      throw error
    }
  }

  async function loaded(): Promise<Keys> {
    if (keys && (await keys.catch(() => undefined).then(known => !known || known.until <= clock.now())))
      keys = undefined
    keys ??= load()
    return await keys
  }

  return {
    current: async () => copy((await loaded()).current),
    async byId(id) {
      const known = (await loaded()).byId.get(id)
      if (known) return copy(known)
      if (clock.now() < askAgain) return undefined
      askAgain = clock.now() + KEPT_MS
      keys = undefined
      const added = (await loaded()).byId.get(id)
      return added && copy(added)
    },
  }
}

function parsed(parameter: string, text: string): Omit<Keys, 'until'> {
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

/** Callers get bytes of their own: nobody can spoil the cache. */
const copy = ({ id, bytes }: MasterKey): MasterKey => ({ id, bytes: bytes.slice() })
