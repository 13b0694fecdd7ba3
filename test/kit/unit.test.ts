import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { type Mode, Outdated, Taken, type Unit, unitOf } from '../../lib/kit/unit.ts'
import { embeddedQueue } from '../../lib/platform/queue/embedded.ts'
import type { Queue } from '../../lib/platform/queue/queue.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite.ts'
import { type Change, Conflict, type Store } from '../../lib/platform/store/store.ts'
import { seededRandom, silentLog } from './random.ts'
import { virtualClock } from './virtual-clock.ts'

const key = (id: string) => ({ project: 'p', id })
const put = (id: string, was?: number): Change => ({
  op: 'put',
  key: key(id),
  body: { id },
  ...(was !== undefined && { was }),
})

let store: Store
let queue: Queue
let transactions: string[][]

beforeEach(async () => {
  const clock = virtualClock()
  const made = sqliteStore(':memory:', { clock })
  transactions = []
  store = {
    ...made,
    transact: async changes => {
      await made.transact(changes)
      transactions.push(changes.map(change => change.key.id))
    },
  }
  queue = embeddedQueue({ clock, random: seededRandom(1) })
  await queue.declare('bell')
})
afterEach(async () => {
  await queue.close()
  await store.close()
})

const unit = (mode: Mode, early: Change[] = [put('r#1', 0)]): Unit =>
  unitOf({ store, queue, log: silentLog }, mode, () => early)
const rung = async () => (await queue.receive('bell', { max: 10, waitMs: 0 })).map(({ body }) => body)

describe('a unit that gathers', () => {
  it('carries out its transaction with what is told at the end, and rings then', async () => {
    const work = unit('gather')
    await work.store.transact([put('a#1', 0)])
    await work.queue.send('bell', [{ body: 'go' }])
    expect([transactions, await rung(), work.committed]).toEqual([[], [], false])
    await work.finish([put('r#2')])
    expect([transactions, await rung(), work.committed]).toEqual([[['a#1', 'r#2']], ['go'], true])
  })

  it('carries it out early where something is read, with what goes with it then', async () => {
    const work = unit('gather')
    await work.store.transact([put('a#1', 0)])
    await work.queue.send('bell', [{ body: 'go' }])
    expect((await work.store.get(key('a#1')))?.version).toBe(1)
    expect([transactions, await rung()]).toEqual([[['a#1', 'r#1']], ['go']])
    await work.store.transact([put('a#2')])
    await work.finish([put('r#1')])
    expect(transactions.slice(1)).toEqual([['a#2'], ['r#1']])
  })

  it('carries the first transaction out before a second', async () => {
    const work = unit('gather')
    await work.store.transact([put('a#1', 0)])
    await work.store.transact([put('a#1', 1)])
    expect(transactions).toEqual([['a#1', 'r#1'], ['a#1']])
  })

  it('is outdated when its transaction conflicts at the end: nothing is done, nothing rung', async () => {
    const work = unit('gather')
    await work.store.transact([put('a#1', 0)])
    await work.queue.send('bell', [{ body: 'go' }])
    await store.transact([put('a#1')])
    await expect(work.finish([put('r#2')])).rejects.toThrow(Outdated)
    expect(work.failure).toBeInstanceOf(Outdated)
    expect([transactions, await rung()]).toEqual([[['a#1']], []])
  })

  it('tells apart that what goes with it conflicts', async () => {
    await store.transact([put('r#1')])
    const work = unit('gather')
    await work.store.transact([put('a#1', 0)])
    await expect(work.store.get(key('a#1'))).rejects.toThrow(Taken)
    expect(await store.get(key('a#1'))).toBeUndefined()
  })

  it('forgets what was kept back', async () => {
    const work = unit('gather')
    await work.store.transact([put('a#1', 0)])
    await work.queue.send('bell', [{ body: 'go' }])
    work.drop()
    await work.finish([put('r#2')])
    expect([transactions, await rung(), work.committed]).toEqual([[['r#2']], [], false])
  })

  it('has done what it did though the doorbell is lost', async () => {
    const work = unit('gather')
    await work.store.transact([put('a#1', 0)])
    await work.queue.send('nowhere', [{ body: 'go' }])
    await work.finish([])
    expect([transactions, work.committed]).toEqual([[['a#1']], true])
  })
})

describe('a direct unit', () => {
  it('carries out at once, with the company of the first transaction only', async () => {
    const work = unit('direct')
    await work.store.transact([put('a#1', 0)])
    await work.store.transact([put('a#2', 0)])
    expect(transactions).toEqual([['a#1', 'r#1'], ['a#2']])
  })

  it('shows conflicts of the work to whoever does it', async () => {
    const work = unit('direct')
    await store.transact([put('a#1')])
    await expect(work.store.transact([put('a#0'), put('a#1', 0)])).rejects.toMatchObject({ name: 'Conflict', index: 1 })
    expect([work.committed, work.failure]).toEqual([false, undefined])
    await work.store.transact([put('a#1', 1)])
    expect(transactions).toEqual([['a#1'], ['a#1', 'r#1']])
  })
})

describe('a dry unit', () => {
  it('checks, changes nothing and rings nobody, and reads what would stand there', async () => {
    await store.transact([put('a#1')])
    const work = unit('dry')
    await work.store.transact([put('a#1', 1), put('a#2', 0)])
    await work.queue.send('bell', [{ body: 'go' }])
    await work.queue.remove('bell')
    expect(await work.store.get(key('a#1'))).toMatchObject({ version: 2, body: { id: 'a#1' } })
    await work.store.transact([put('a#1', 2), { op: 'delete', key: key('a#2'), was: 1 }])
    expect(await work.store.get(key('a#2'))).toBeUndefined()
    await expect(work.store.transact([put('a#1', 2)])).rejects.toThrow(Conflict)
    expect([transactions, await rung(), (await store.get(key('a#1')))?.version]).toEqual([[['a#1']], [], 1])
  })

  it('throws the conflicts of what is stored', async () => {
    const work = unit('dry')
    await expect(work.store.transact([put('a#1', 3)])).rejects.toMatchObject({ index: 0, reason: 'version' })
    const add: Change = { op: 'add', key: key('n#1'), field: 'n', by: 9, max: 5 }
    await expect(work.store.transact([add])).rejects.toMatchObject({ index: 0, reason: 'bound' })
  })
})
