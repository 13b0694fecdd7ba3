import { randomBytes } from 'node:crypto'
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { BadParameter, ssmSecrets } from '../../lib/platform/secrets/ssm.ts'
import { secretsCases } from '../cases/secrets.ts'
import { realClock, virtualClock } from '../kit/virtual-clock.ts'
import { type Ministack, ministack } from './ministack.ts'

let aws: Ministack
let ssm: SSMClient
let count = 0
beforeAll(async () => {
  aws = await ministack()
  ssm = new SSMClient(aws.connection)
})
afterAll(async () => {
  ssm?.destroy()
  await aws?.stop()
})

const key = (id: string) => ({ id, key: randomBytes(32).toString('base64url') })

async function stored(value: unknown, name = `/coffer/${++count}/keys`): Promise<string> {
  const Value = typeof value === 'string' ? value : JSON.stringify(value)
  await ssm.send(new PutParameterCommand({ Name: name, Value, Type: 'SecureString', Overwrite: true }))
  return name
}

secretsCases('SSM on ministack', async () => {
  const parameter = await stored({ current: 'b', keys: [key('a'), key('b')] })
  const reopen = () => ssmSecrets({ connection: aws.connection, parameter, clock: realClock })
  return { secrets: reopen(), reopen }
})

describe('SSM on ministack of its own', () => {
  const open = (parameter: string, clock = virtualClock()) => ({
    clock,
    secrets: ssmSecrets({ connection: aws.connection, parameter, clock }),
  })

  it('finds a key that was added, at once by its id and later as the current one', async () => {
    const old = key('old')
    const parameter = await stored({ current: 'old', keys: [old] })
    const { clock, secrets } = open(parameter)
    expect((await secrets.current()).id).toBe('old')
    await stored({ current: 'new', keys: [old, key('new')] }, parameter)
    expect((await secrets.byId('new'))?.id).toBe('new')
    expect(await secrets.byId('none')).toBeUndefined()
    const { secrets: other } = open(parameter, clock)
    await other.current()
    await clock.advance(300_000)
    expect((await secrets.current()).id).toBe('new')
    expect((await secrets.byId('old'))?.bytes).toEqual(new Uint8Array(Buffer.from(old.key, 'base64url')))
  })

  it('tells what is wrong without a word of the secret, and reads it again once it is mended', async () => {
    const { secrets } = open('/coffer/none')
    await expect(secrets.current()).rejects.toThrow(BadParameter)
    const good = key('a')
    const bad = ['not JSON', {}, { current: 'a', keys: [] }, { current: 'b', keys: [good] }]
    const more = [
      { current: 'a', keys: [good, good] },
      { current: 'a', keys: [{ id: 'a', key: 'c2hvcnQ' }] },
    ]
    for (const value of [...bad, ...more]) {
      const parameter = await stored(value)
      const { secrets } = open(parameter)
      const error = await secrets.current().catch((error: unknown) => error)
      expect(error).toBeInstanceOf(BadParameter)
      expect(String(error)).not.toContain(good.key)
      await stored({ current: 'a', keys: [good] }, parameter)
      expect((await secrets.current()).id).toBe('a')
    }
  })
})
