import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import {
  beginUnitOfWork,
  RecordConflict,
  StaleRead,
  type UnitMode,
  type UnitOfWork,
} from '../../../lib/kit/http/unit-of-work.ts'
import { embeddedQueue } from '../../../lib/platform/queue/embedded/queue.ts'
import { sqliteStore } from '../../../lib/platform/store/sqlite/store.ts'
import type { Queue } from '../../../lib/ports/queue.ts'
import { type Change, Conflict, type Store } from '../../../lib/ports/store.ts'
import { seededRandom, silentLog } from '../random.ts'
import { virtualClock } from '../virtual-clock.ts'

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
  const backend = sqliteStore(':memory:', { clock })
  transactions = []
  store = {
    ...backend,
    transact: async changes => {
      await backend.transact(changes)
      transactions.push(changes.map(change => change.key.id))
    },
  }
  queue = embeddedQueue({ clock, random: seededRandom(1) })
  await queue.declare('tasks')
})
afterEach(async () => {
  await queue.close()
  await store.close()
})

const unit = (mode: UnitMode, early: Change[] = [put('r#1', 0)]): UnitOfWork =>
  beginUnitOfWork({ store, queue, log: silentLog }, mode, () => early)
const received = async () => (await queue.receive('tasks', { max: 10, waitMs: 0 })).map(({ body }) => body)

describe('a buffered unit of work', () => {
  it('commits its transaction together with the final records, and then sends its messages', async () => {
    const work = unit('buffered')
    await work.store.transact([put('a#1', 0)])
    await work.queue.send('tasks', [{ body: 'go' }])
    expect([transactions, await received(), work.committed]).toEqual([[], [], false])
    await work.finish([put('r#2')])
    expect([transactions, await received(), work.committed]).toEqual([[['a#1', 'r#2']], ['go'], true])
  })

  it('commits early, with the early records, when something is read', async () => {
    const work = unit('buffered')
    await work.store.transact([put('a#1', 0)])
    await work.queue.send('tasks', [{ body: 'go' }])
    expect((await work.store.get(key('a#1')))?.version).toBe(1)
    expect([transactions, await received()]).toEqual([[['a#1', 'r#1']], ['go']])
    await work.store.transact([put('a#2')])
    await work.finish([put('r#1')])
    expect(transactions.slice(1)).toEqual([['a#2'], ['r#1']])
  })

  it('commits the first transaction before a second', async () => {
    const work = unit('buffered')
    await work.store.transact([put('a#1', 0)])
    await work.store.transact([put('a#1', 1)])
    expect(transactions).toEqual([['a#1', 'r#1'], ['a#1']])
  })

  it('fails with StaleRead, and sends nothing, when its transaction conflicts at the end', async () => {
    const work = unit('buffered')
    await work.store.transact([put('a#1', 0)])
    await work.queue.send('tasks', [{ body: 'go' }])
    await store.transact([put('a#1')])
    await expect(work.finish([put('r#2')])).rejects.toThrow(StaleRead)
    expect(work.failure).toBeInstanceOf(StaleRead)
    expect([transactions, await received()]).toEqual([[['a#1']], []])
  })

  it('fails with RecordConflict when only a record of the request conflicts', async () => {
    await store.transact([put('r#1')])
    const work = unit('buffered')
    await work.store.transact([put('a#1', 0)])
    await expect(work.store.get(key('a#1'))).rejects.toThrow(RecordConflict)
    expect(await store.get(key('a#1'))).toBeUndefined()
  })

  it('drops what is buffered when it is discarded', async () => {
    const work = unit('buffered')
    await work.store.transact([put('a#1', 0)])
    await work.queue.send('tasks', [{ body: 'go' }])
    work.discard()
    await work.finish([put('r#2')])
    expect([transactions, await received(), work.committed]).toEqual([[['r#2']], [], false])
  })

  it('stays committed when a message cannot be sent', async () => {
    const work = unit('buffered')
    await work.store.transact([put('a#1', 0)])
    await work.queue.send('nowhere', [{ body: 'go' }])
    await work.finish([])
    expect([transactions, work.committed]).toEqual([[['a#1']], true])
  })
})

describe('an immediate unit of work', () => {
  it('commits at once, with the early records in the first transaction only', async () => {
    const work = unit('immediate')
    await work.store.transact([put('a#1', 0)])
    await work.store.transact([put('a#2', 0)])
    expect(transactions).toEqual([['a#1', 'r#1'], ['a#2']])
  })

  it('throws conflicts to its handler', async () => {
    const work = unit('immediate')
    await store.transact([put('a#1')])
    await expect(work.store.transact([put('a#0'), put('a#1', 0)])).rejects.toMatchObject({ name: 'Conflict', index: 1 })
    expect([work.committed, work.failure]).toEqual([false, undefined])
    await work.store.transact([put('a#1', 1)])
    expect(transactions).toEqual([['a#1'], ['a#1', 'r#1']])
  })
})

describe('a dry run', () => {
  it('changes and sends nothing, and reads what it would have written', async () => {
    await store.transact([put('a#1')])
    const work = unit('dry-run')
    await work.store.transact([put('a#1', 1), put('a#2', 0)])
    await work.queue.send('tasks', [{ body: 'go' }])
    await work.queue.remove('tasks')
    expect(await work.store.get(key('a#1'))).toMatchObject({ version: 2, body: { id: 'a#1' } })
    await work.store.transact([put('a#1', 2), { op: 'delete', key: key('a#2'), was: 1 }])
    expect(await work.store.get(key('a#2'))).toBeUndefined()
    await expect(work.store.transact([put('a#1', 2)])).rejects.toThrow(Conflict)
    expect([transactions, await received(), (await store.get(key('a#1')))?.version]).toEqual([[['a#1']], [], 1])
  })

  it('throws conflicts with the stored records', async () => {
    const work = unit('dry-run')
    await expect(work.store.transact([put('a#1', 3)])).rejects.toMatchObject({ index: 0, reason: 'version' })
    const add: Change = { op: 'add', key: key('n#1'), field: 'n', by: 9, max: 5 }
    await expect(work.store.transact([add])).rejects.toMatchObject({ index: 0, reason: 'bound' })
  })
})
