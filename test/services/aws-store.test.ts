import { CreateTableCommand, DynamoDBClient, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { dynamodbStore } from '../../lib/platform/store/dynamodb.ts'
import { TABLE } from '../../lib/platform/store/dynamodb-table.ts'
import { Conflict } from '../../lib/platform/store/store.ts'
import { systemRandom } from '../../lib/wiring/system.ts'
import { storeCases } from '../cases/store.ts'
import { realClock } from '../kit/virtual-clock.ts'
import { type Ministack, ministack } from './ministack.ts'

let aws: Ministack
let count = 0
beforeAll(async () => {
  aws = await ministack()
})
afterAll(() => aws?.stop())

/** It stands still unless moved on; sleepers sleep all the same. */
function movingClock() {
  let now = realClock.now()
  return {
    now: () => now,
    sleep: realClock.sleep,
    advance: async (ms: number) => {
      now += ms
    },
  }
}

async function setUp() {
  const clock = movingClock()
  const { connection } = aws
  const client = new DynamoDBClient(connection)
  const table = `coffer-${++count}`
  const { TimeToLiveSpecification: _, AttributeDefinitions, KeySchema, BillingMode } = TABLE
  const keys = { AttributeDefinitions: [...AttributeDefinitions], KeySchema: [...KeySchema] }
  await client.send(new CreateTableCommand({ TableName: table, BillingMode, ...keys }))
  client.destroy()
  const store = dynamodbStore({ clock, random: systemRandom, connection, table })
  return { store, clock, table, advance: clock.advance, close: store.close }
}

storeCases('DynamoDB store on ministack', setUp, 30_000)

describe('DynamoDB store on ministack of its own', () => {
  const made = async () => {
    const setup = await setUp()
    const client = new DynamoDBClient(aws.connection)
    /** The index entries in the table. */
    const entries = async () => {
      const { Items = [] } = await client.send(new ScanCommand({ TableName: setup.table, ConsistentRead: true }))
      return Items.filter(({ pk }) => !pk!.S!.startsWith('p/'))
    }
    const put = (more: object = {}) => ({ op: 'put' as const, key: { project: 'demo', id: 'a#1' }, body: {}, ...more })
    return { ...setup, client, entries, put }
  }

  it('keeps just the entries that lead somewhere', async () => {
    const { store, entries, put, client } = await made()
    const places = async () => (await entries()).map(({ pk }) => pk!.S!.split('/').slice(0, 2).join('/')).sort()
    await store.transact([put({ due: 5, instance: 'i' })])
    const shard = expect.stringMatching(/^d\//)
    expect(await places()).toEqual([shard, 'i/i', 'k/a'])
    await store.transact([put({ due: 6, instance: 'j' })])
    expect(await places()).toEqual([shard, 'i/j', 'k/a'])
    await expect(store.transact([put({ due: 7, was: 1 })])).rejects.toThrow(Conflict)
    expect(await places()).toEqual([shard, 'i/j', 'k/a'])
    await store.transact([{ op: 'delete', key: put().key }])
    expect(await places()).toEqual([])
    client.destroy()
    await store.close()
  })

  it('leaves out entries of a transaction that never was, and removes them once it cannot be any more', async () => {
    const { store, clock, entries, put, client, table } = await made()
    await store.transact([put({ due: 5, instance: 'i' })])
    for (const entry of await entries()) {
      const Item = { ...entry, sk: { S: `${entry['sk']!.S!.slice(0, -12)}never-was-it` } }
      await client.send(new PutItemCommand({ TableName: table, Item }))
    }
    const listings = async () => [
      ...(await store.due(5, 9)),
      ...(await store.all('a', { limit: 9 })).items,
      ...(await store.ofInstance('i', undefined, { limit: 9 })),
    ]
    expect((await listings()).length).toBe(3)
    expect((await entries()).length).toBe(6)
    await clock.advance(600_001)
    expect((await listings()).length).toBe(3)
    expect((await entries()).length).toBe(3)
    client.destroy()
    await store.close()
  })

  it('does not lose what many write at once', async () => {
    const { store, put, entries, client } = await made()
    const dues = Array.from({ length: 12 }, (_, due) => due)
    await Promise.all(
      dues.map(due => store.transact([put({ due }), put({ key: { project: 'demo', id: `b#${due}` } })])),
    )
    const record = await store.get(put().key)
    expect(record).toMatchObject({ version: 12 })
    expect(await store.due(100, 100)).toEqual([record])
    expect((await entries()).length).toBe(2 + 12)
    client.destroy()
    await store.close()
  })

  it('tells which of two that want the same came first', async () => {
    const { store, put, client } = await made()
    const outcomes = await Promise.allSettled(
      [1, 2, 3].map(() => store.transact([put({ was: 0 }), put({ key: { project: 'p', id: 'x' } })])),
    )
    const refused = outcomes.filter(({ status }) => status === 'rejected')
    expect(refused.length).toBe(2)
    for (const outcome of refused)
      expect(outcome).toMatchObject({ reason: { name: 'Conflict', index: 0, reason: 'version' } })
    client.destroy()
    await store.close()
  })
})
