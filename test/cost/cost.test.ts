import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { deployment, total } from './bill.ts'
import { Counts } from './counts.ts'
import { countingDynamodb, sizeOf } from './dynamodb.ts'
import { idleControlPlane, idleGuest, type Measured, page } from './page.ts'
import { CostWorld } from './world.ts'

const PAGE = join(import.meta.dirname, '..', '..', 'docs', 'cost.md')
// A limit for a hanging test: there are some thousand requests to a table in memory.
const WAIT_MS = 120_000

const counts = new Counts()
let table: Awaited<ReturnType<typeof countingDynamodb>>
let world: CostWorld
let measured: Measured

beforeAll(async () => {
  table = await countingDynamodb(counts)
  world = await CostWorld.open(counts, table.endpoint)
  // Not counted: what is created once, for the first instance or the first request of a project.
  await world.create('first')
  const create = await world.create('shop')
  const shop = await world.instance('shop')
  if (!shop) throw new Error('no instance')
  /** A request of many: the throttle already has a record of its verb. */
  const repeated = async (path: string) => {
    await world.request('GET', path)
    return world.request('GET', path)
  }
  measured = {
    create,
    report: await world.report(),
    renewal: await world.renewal(shop),
    check: await world.check(),
    requests: {
      'show of an instance': await repeated(`/instances/${shop.id}`),
      'list of two instances': await repeated('/instances'),
      'list of flavors': await repeated('/flavors'),
      'list of an instance’s users, answered by its agent': await repeated(`/instances/${shop.id}/users`),
    },
    remove: await world.delete('shop'),
  }
}, WAIT_MS)
afterAll(async () => {
  await world.close()
  await table.close()
})

describe('the cost on AWS', () => {
  it('is as documented in docs/cost.md', () => {
    const current = page(measured, deployment())
    // If a cost has changed, UPDATE_GOLDEN=1 writes the page anew.
    if (process.env['UPDATE_GOLDEN'] || !existsSync(PAGE)) writeFileSync(PAGE, current)
    expect(readFileSync(PAGE, 'utf8')).toBe(current)
  })

  it('is low while the service is idle', () => {
    expect(total(idleControlPlane(measured, deployment()))).toBeLessThanOrEqual(3)
    expect(total(idleGuest(measured, deployment()))).toBeLessThanOrEqual(0.12)
  })

  it('depends on values that are read from the deployment', () => {
    expect(deployment()).toEqual({
      alarms: 5,
      queues: 2,
      checksAMonth: 43_800,
      memoryMb: { authorizer: 256, api: 512, enrol: 512, taskmanager: 512, conductor: 512, periodic: 512 },
    })
  })
})

describe('request units', () => {
  const KEY = { pk: { S: 'p' }, sk: { S: 's' } }
  /** Sends a request to the table as the SDK does. */
  async function send(name: string, input: object) {
    const headers = { 'x-amz-target': `DynamoDB_20120810.${name}` }
    const response = await fetch(table.endpoint, { method: 'POST', headers, body: JSON.stringify(input) })
    expect(response.status).toBe(200)
  }
  const item = (bytes: number, sk = 's') => {
    const empty = { ...KEY, sk: { S: sk }, b: { S: '' } }
    return { ...empty, b: { S: 'x'.repeat(bytes - sizeOf(empty)) } }
  }

  it('of a write are the kilobytes of the larger of new and old record, and twice as many in a transaction', async () => {
    const put = (bytes: number) => send('PutItem', { Item: item(bytes) })
    const transact = (bytes: number) => send('TransactWriteItems', { TransactItems: [{ Put: { Item: item(bytes) } }] })
    expect(await counts.during(() => put(1_024))).toEqual({ writeUnits: 1 })
    expect(await counts.during(() => put(1_025))).toEqual({ writeUnits: 2 })
    expect(await counts.during(() => transact(2_049))).toEqual({ writeUnits: 6 })
    expect(await counts.during(() => send('DeleteItem', { Key: KEY }))).toEqual({ writeUnits: 3 })
    expect(await counts.during(() => send('DeleteItem', { Key: KEY }))).toEqual({ writeUnits: 1 })
  })

  it('of a consistent read are units of four kilobytes, of each record or of the page of a query', async () => {
    await send('PutItem', { Item: item(4_097, 'a') })
    await send('PutItem', { Item: item(1_000, 'b') })
    const Keys = ['a', 'b', 'missing'].map(sk => ({ ...KEY, sk: { S: sk } }))
    const read = () => send('BatchGetItem', { RequestItems: { t: { Keys } } })
    const query = (from: string, to: string) =>
      send('Query', {
        ExpressionAttributeValues: { ':pk': { S: 'p' }, ':from': { S: from }, ':to': { S: to } },
        Limit: 10,
      })
    expect(await counts.during(read)).toEqual({ readUnits: 2 + 1 + 1 })
    expect(await counts.during(() => query('a', 'b'))).toEqual({ readUnits: 2 })
    expect(await counts.during(() => query('x', 'y'))).toEqual({ readUnits: 1 })
  })
})
