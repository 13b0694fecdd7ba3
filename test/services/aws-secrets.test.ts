import { randomBytes } from 'node:crypto'
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { BadKeys, withCurrent, withKey, withoutKey } from '../../lib/platform/secrets/key-set.ts'
import { editKeyParameter } from '../../lib/platform/secrets/ssm/edit.ts'
import { BadParameter, ssmSecrets } from '../../lib/platform/secrets/ssm/secrets.ts'
import { secretsCases } from '../cases/secrets.ts'
import { realClock, virtualClock } from '../kit/virtual-clock.ts'
import { type Ministack, startMinistack } from './ministack.ts'

let aws: Ministack
let ssm: SSMClient
let count = 0
beforeAll(async () => {
  aws = await startMinistack()
  ssm = new SSMClient(aws.connection)
})
afterAll(async () => {
  ssm?.destroy()
  await aws?.stop()
})

const key = (id: string) => ({ id, key: randomBytes(32).toString('base64url') })

async function putParameter(value: unknown, name = `/coffer/${++count}/keys`): Promise<string> {
  const Value = typeof value === 'string' ? value : JSON.stringify(value)
  await ssm.send(new PutParameterCommand({ Name: name, Value, Type: 'SecureString', Overwrite: true }))
  return name
}

secretsCases('SSM on ministack', async () => {
  const parameter = await putParameter({ current: 'b', keys: [key('a'), key('b')] })
  const reopen = () => ssmSecrets({ connection: aws.connection, parameter, clock: realClock })
  return { secrets: reopen(), reopen }
})

describe('SSM secrets: the parameter', () => {
  const open = (parameter: string, clock = virtualClock()) => ({
    clock,
    secrets: ssmSecrets({ connection: aws.connection, parameter, clock }),
  })

  it('finds an added key immediately by its id, and after five minutes as the current one', async () => {
    const oldKey = key('old')
    const parameter = await putParameter({ current: 'old', keys: [oldKey] })
    const { clock, secrets } = open(parameter)
    expect((await secrets.current()).id).toBe('old')
    await putParameter({ current: 'new', keys: [oldKey, key('new')] }, parameter)
    expect((await secrets.byId('new'))?.id).toBe('new')
    expect(await secrets.byId('none')).toBeUndefined()
    const { secrets: other } = open(parameter, clock)
    await other.current()
    await clock.advance(300_000)
    expect((await secrets.current()).id).toBe('new')
    expect((await secrets.byId('old'))?.bytes).toEqual(new Uint8Array(Buffer.from(oldKey.key, 'base64url')))
  })

  it('is edited: a key is added, becomes current, and the old one is revoked', async () => {
    const oldKey = key('old')
    const parameter = await putParameter({ current: 'old', keys: [oldKey] })
    const place = { connection: aws.connection, parameter }
    await editKeyParameter(place, document => withKey(document, 'new', new Uint8Array(32).fill(7)))
    expect((await open(parameter).secrets.current()).id).toBe('old')
    await editKeyParameter(place, document => withCurrent(document, 'new'))
    await editKeyParameter(place, document => withoutKey(document, 'old', true))
    const { secrets } = open(parameter)
    expect(await secrets.current()).toEqual({ id: 'new', bytes: new Uint8Array(32).fill(7) })
    expect([await secrets.ids(), await secrets.revoked()]).toEqual([['new'], ['old']])
    await expect(editKeyParameter(place, document => withoutKey(document, 'new', false))).rejects.toThrow(BadKeys)
  })

  it('reports a malformed parameter without its secrets, and reads it again after the repair', async () => {
    const { secrets } = open('/coffer/none')
    await expect(secrets.current()).rejects.toThrow(BadParameter)
    const validKey = key('a')
    const malformed = [
      'not JSON',
      {},
      { current: 'a', keys: [] },
      { current: 'b', keys: [validKey] },
      { current: 'a', keys: [validKey, validKey] },
      { current: 'a', keys: [{ id: 'a', key: 'c2hvcnQ' }] },
    ]
    for (const value of malformed) {
      const parameter = await putParameter(value)
      const { secrets } = open(parameter)
      const error = await secrets.current().catch((error: unknown) => error)
      expect(error).toBeInstanceOf(BadParameter)
      expect(String(error)).not.toContain(validKey.key)
      await putParameter({ current: 'a', keys: [validKey] }, parameter)
      expect((await secrets.current()).id).toBe('a')
    }
  })
})
