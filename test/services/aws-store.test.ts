import { CreateTableCommand, DynamoDBClient, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { dynamodbStore } from '../../lib/platform/store/dynamodb/store.ts'
import { TABLE } from '../../lib/platform/store/dynamodb/table.ts'
import { Conflict } from '../../lib/ports/store.ts'
import { systemRandom } from '../../lib/wiring/system.ts'
import { storeCases } from '../cases/store.ts'
import { C, I } from '../cases/store-context.ts'
import { realClock } from '../kit/virtual-clock.ts'
import { type Ministack, startMinistack } from './ministack.ts'

let aws: Ministack
let count = 0
beforeAll(async () => {
  aws = await startMinistack()
})
afterAll(() => aws?.stop())

/** A clock that stands still until it is advanced; sleeping takes real time. */
function manualClock() {
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
  const clock = manualClock()
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

describe('DynamoDB store: the index', () => {
  const setUpIndex = async () => {
    const setup = await setUp()
    const client = new DynamoDBClient(aws.connection)
    /** The index entries in the table. */
    const entries = async () => {
      const { Items = [] } = await client.send(new ScanCommand({ TableName: setup.table, ConsistentRead: true }))
      return Items.filter(({ pk }) => !pk!.S!.startsWith('p/'))
    }
    const put = (fields: object = {}) => ({
      op: 'put' as const,
      key: { project: 'demo', id: 'a#1' },
      body: {},
      ...fields,
    })
    return { ...setup, client, entries, put }
  }

  it('has just the index entries of its records', async () => {
    const { store, entries, put, client } = await setUpIndex()
    const partitions = async () => (await entries()).map(({ pk }) => pk!.S!.split('/').slice(0, 2).join('/')).sort()
    await store.transact([put({ due: 5, subject: I, parent: C })])
    const shard = expect.stringMatching(/^d\//)
    expect(await partitions()).toEqual([shard, 'i/i', 'k/a', 'o/cluster'])
    await store.transact([put({ due: 6, subject: { kind: 'instance', id: 'j' } })])
    expect(await partitions()).toEqual([shard, 'i/j', 'k/a'])
    await expect(store.transact([put({ due: 7, was: 1 })])).rejects.toThrow(Conflict)
    expect(await partitions()).toEqual([shard, 'i/j', 'k/a'])
    await store.transact([{ op: 'delete', key: put().key }])
    expect(await partitions()).toEqual([])
    client.destroy()
    await store.close()
  })

  it('ignores index entries without a transaction, and removes them once none can follow', async () => {
    const { store, clock, entries, put, client, table } = await setUpIndex()
    await store.transact([put({ due: 5, subject: I, parent: C })])
    for (const entry of await entries()) {
      const Item = { ...entry, sk: { S: `${entry['sk']!.S!.slice(0, -12)}never-was-it` } }
      await client.send(new PutItemCommand({ TableName: table, Item }))
    }
    const listings = async () => [
      ...(await store.due(5, 9)),
      ...(await store.all('a', { limit: 9 })).items,
      ...(await store.ofSubject(I, undefined, { limit: 9 })),
      ...(await store.ofParent(C, undefined, { limit: 9 })),
    ]
    expect((await listings()).length).toBe(4)
    expect((await entries()).length).toBe(8)
    await clock.advance(600_001)
    expect((await listings()).length).toBe(4)
    expect((await entries()).length).toBe(4)
    client.destroy()
    await store.close()
  })

  it('loses nothing of concurrent writes', async () => {
    const { store, put, entries, client } = await setUpIndex()
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

  it('reports a conflict to all but the first of concurrent writes', async () => {
    const { store, put, client } = await setUpIndex()
    const outcomes = await Promise.allSettled(
      [1, 2, 3].map(() => store.transact([put({ was: 0 }), put({ key: { project: 'p', id: 'x' } })])),
    )
    const rejected = outcomes.filter(({ status }) => status === 'rejected')
    expect(rejected.length).toBe(2)
    for (const outcome of rejected)
      expect(outcome).toMatchObject({ reason: { name: 'Conflict', index: 0, reason: 'version' } })
    client.destroy()
    await store.close()
  })
})
