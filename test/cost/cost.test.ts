import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { deployment, total } from './bill.ts'
import { Counts } from './counts.ts'
import { countingDynamodb, sizeOf } from './dynamodb.ts'
import { idleControlPlane, idleGuest, type Measured, page } from './page.ts'
import { CostWorld } from './world.ts'

const PAGE = join(import.meta.dirname, '..', '..', 'docs', 'cost.md')
// A bound for what hangs: some thousand requests to a table in memory.
const WAIT_MS = 120_000

const counts = new Counts()
let table: Awaited<ReturnType<typeof countingDynamodb>>
let world: CostWorld
let measured: Measured

beforeAll(async () => {
  table = await countingDynamodb(counts)
  world = await CostWorld.open(counts, table.endpoint)
  // What is made once, for the first instance of all or the first request of a project, is not counted.
  await world.create('first')
  const create = await world.create('shop')
  const shop = await world.instance('shop')
  if (!shop) throw new Error('no instance')
  /** As one of many: the throttle's record of its verb is there. */
  const one = async (path: string) => {
    await world.request('GET', path)
    return world.request('GET', path)
  }
  measured = {
    create,
    report: await world.report(),
    renewal: await world.renewal(shop),
    look: await world.look(),
    requests: {
      'show of an instance': await one(`/instances/${shop.id}`),
      'list of two instances': await one('/instances'),
      'list of flavors': await one('/flavors'),
      'list of an instance’s users, asked of its agent': await one(`/instances/${shop.id}/users`),
    },
    remove: await world.delete('shop'),
  }
}, WAIT_MS)
afterAll(async () => {
  await world.close()
  await table.close()
})

describe('what it costs on AWS', () => {
  it('is what docs/cost.md says', () => {
    const now = page(measured, deployment())
    // Something costs more or less now: UPDATE_GOLDEN=1 writes it down.
    if (process.env['UPDATE_GOLDEN'] || !existsSync(PAGE)) writeFileSync(PAGE, now)
    expect(readFileSync(PAGE, 'utf8')).toBe(now)
  })

  it('is little while nobody uses it', () => {
    expect(total(idleControlPlane(measured, deployment()))).toBeLessThanOrEqual(3)
    expect(total(idleGuest(measured, deployment()))).toBeLessThanOrEqual(0.12)
  })

  it('is read from the deployment', () => {
    expect(deployment()).toEqual({
      alarms: 5,
      queues: 2,
      looksAMonth: 43_800,
      memoryMb: { authorizer: 256, api: 512, enrol: 512, taskmanager: 512, conductor: 512, periodic: 512 },
    })
  })
})

describe('request units', () => {
  const KEY = { pk: { S: 'p' }, sk: { S: 's' } }
  /** Asks the table as the SDK does. */
  async function asked(name: string, input: object) {
    const headers = { 'x-amz-target': `DynamoDB_20120810.${name}` }
    const answer = await fetch(table.endpoint, { method: 'POST', headers, body: JSON.stringify(input) })
    expect(answer.status).toBe(200)
  }
  const item = (bytes: number, sk = 's') => {
    const bare = { ...KEY, sk: { S: sk }, b: { S: '' } }
    return { ...bare, b: { S: 'x'.repeat(bytes - sizeOf(bare)) } }
  }

  it('of a write are its kilobytes, of a transaction twice as many, and a larger record that was there counts', async () => {
    const put = (bytes: number) => asked('PutItem', { Item: item(bytes) })
    const transact = (bytes: number) => asked('TransactWriteItems', { TransactItems: [{ Put: { Item: item(bytes) } }] })
    expect(await counts.of(() => put(1_024))).toEqual({ writeUnits: 1 })
    expect(await counts.of(() => put(1_025))).toEqual({ writeUnits: 2 })
    expect(await counts.of(() => transact(2_049))).toEqual({ writeUnits: 6 })
    expect(await counts.of(() => asked('DeleteItem', { Key: KEY }))).toEqual({ writeUnits: 3 })
    expect(await counts.of(() => asked('DeleteItem', { Key: KEY }))).toEqual({ writeUnits: 1 })
  })

  it('of a consistent read are its four kilobytes, of each record or of a query’s page', async () => {
    await asked('PutItem', { Item: item(4_097, 'a') })
    await asked('PutItem', { Item: item(1_000, 'b') })
    const Keys = ['a', 'b', 'missing'].map(sk => ({ ...KEY, sk: { S: sk } }))
    const read = () => asked('BatchGetItem', { RequestItems: { t: { Keys } } })
    const query = (from: string, to: string) =>
      asked('Query', {
        ExpressionAttributeValues: { ':pk': { S: 'p' }, ':from': { S: from }, ':to': { S: to } },
        Limit: 10,
      })
    expect(await counts.of(read)).toEqual({ readUnits: 2 + 1 + 1 })
    expect(await counts.of(() => query('a', 'b'))).toEqual({ readUnits: 2 })
    expect(await counts.of(() => query('x', 'y'))).toEqual({ readUnits: 1 })
  })
})
