import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { Clock } from '../../lib/kit/clock.ts'
import {
  BadTransaction,
  type Change,
  Conflict,
  type Item,
  type Key,
  MAX_CHANGES,
  MAX_ITEM_BYTES,
  type Store,
} from '../../lib/platform/store/store.ts'

/** One backend set up for one test. */
export interface StoreSetup {
  /** The store under test, empty. */
  store: Store
  /** The store's clock. */
  clock: Pick<Clock, 'now'>
  /** Lets `ms` pass on it. */
  advance(ms: number): Promise<void>
  /** Ends all; the store may be closed already. */
  close(): Promise<void>
}

const key = (id: string, project = 'demo'): Key => ({ project, id })
type Put = Change & { op: 'put' }
const put = (id: string, more: Partial<Put> = {}): Put => ({ op: 'put', key: key(id), body: {}, ...more })
const ids = (items: Item[]) => items.map(item => item.key.id)

/** The suite of every store; `timeout` is for each test, in milliseconds. */
export function storeCases(name: string, make: () => Promise<StoreSetup>, timeout = 10_000): void {
  let setup: StoreSetup
  let store: Store

  const test = (title: string, run: () => Promise<void>) => it(title, run, timeout)
  const write = (...changes: Change[]) => store.transact(changes)
  const read = (id: string) => store.get(key(id))
  const later = (ms: number) => setup.clock.now() + ms

  async function conflict(index: number, reason: 'version' | 'bound', ...changes: Change[]): Promise<void> {
    const error = await write(...changes).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(Conflict)
    expect(error).toMatchObject({ index, reason })
  }

  /** All pages of a listing, each of at most `limit`. */
  async function pages(limit: number, next: (after?: string) => Promise<Item[]>): Promise<string[][]> {
    const found: string[][] = []
    for (let page = await next(); page.length > 0; page = await next(page.at(-1)!.key.id)) {
      expect(page.length).toBeLessThanOrEqual(limit)
      found.push(ids(page))
    }
    return found
  }

  async function allOf(kind: string, limit: number): Promise<string[]> {
    const found: string[] = []
    for (let after: string | undefined, more = true; more; more = after !== undefined) {
      const page = await store.all(kind, { limit, ...(after !== undefined && { after }) })
      expect(page.items.length).toBeLessThanOrEqual(limit)
      found.push(...page.items.map(item => `${item.key.project} ${item.key.id}`))
      after = page.next
    }
    return found
  }

  describe(name, () => {
    beforeEach(async () => {
      setup = await make()
      store = setup.store
    }, timeout)
    afterEach(() => setup.close(), timeout)

    describe('records', () => {
      test('are read as they were written, as objects of their own', async () => {
        const body = { text: 'Zürich 🏦 "\\\u0001', nested: [{ n: 1.5 }, null, true] }
        await write(put('a#1', { body, due: 7, instance: 'i', expires: later(1_000) }))
        const item = await read('a#1')
        expect(item).toEqual({ key: key('a#1'), version: 1, body, due: 7, instance: 'i', expires: later(1_000) })
        // What was read may be frozen, or be the reader's own: the record is neither way.
        Reflect.set(item!.body as object, 'text', 'changed')
        expect((await read('a#1'))!.body).toEqual(body)
        for (const value of ['text', 0, null, []]) {
          await write(put('a#2', { body: value }))
          expect((await read('a#2'))!.body).toEqual(value)
        }
      })

      test('that are not there are undefined, in other projects too', async () => {
        await write(put('a#1'))
        expect(await read('a#2')).toBeUndefined()
        expect(await store.get(key('a#1', '*'))).toBeUndefined()
      })

      test('are replaced as a whole, their version rising by one', async () => {
        await write(put('a#1', { body: { a: 1 }, due: 7, instance: 'i', expires: later(1_000) }))
        await write(put('a#1', { body: { b: 2 } }))
        expect(await read('a#1')).toEqual({ key: key('a#1'), version: 2, body: { b: 2 } })
        expect(await store.due(100, 10)).toEqual([])
        expect(await store.ofInstance('i', undefined, { limit: 10 })).toEqual([])
      })

      test('are deleted, and begin again at version 1', async () => {
        await write(put('a#1'))
        await write(put('a#1'))
        await write({ op: 'delete', key: key('a#1') }, { op: 'delete', key: key('a#2') })
        expect(await read('a#1')).toBeUndefined()
        await write(put('a#1'))
        expect((await read('a#1'))!.version).toBe(1)
      })
    })

    describe('conditions', () => {
      test('hold for the version named, 0 being none', async () => {
        await write(put('a#1', { was: 0 }), { op: 'check', key: key('a#2'), was: 0 })
        await write(put('a#1', { was: 1 }))
        await write({ op: 'check', key: key('a#1'), was: 2 }, { op: 'delete', key: key('a#2'), was: 0 })
        expect((await read('a#1'))!.version).toBe(2)
        await write({ op: 'delete', key: key('a#1'), was: 2 })
        expect(await read('a#1')).toBeUndefined()
      })

      for (const op of ['put', 'delete', 'check'] as const)
        for (const was of [0, 1, 3])
          test(`fail a ${op} of version 2 with was ${was}`, async () => {
            await write(put('a#1'))
            await write(put('a#1', { body: 'kept' }))
            const change: Change = op === 'put' ? put('a#1', { was }) : { op, key: key('a#1'), was }
            await conflict(1, 'version', put('a#0'), change, put('a#2'))
            expect(await read('a#1')).toMatchObject({ version: 2, body: 'kept' })
            expect([await read('a#0'), await read('a#2')]).toEqual([undefined, undefined])
          })

      test('that fail are told by the first of them', async () => {
        const add: Change = { op: 'add', key: key('n#1'), field: 'used', by: 2, max: 1 }
        await conflict(1, 'bound', put('a#0'), add, put('a#1', { was: 1 }))
        await conflict(1, 'version', put('a#0'), put('a#1', { was: 1 }), add)
        expect(await read('n#1')).toBeUndefined()
      })
    })

    describe('a check alone', () => {
      const add = (by: number): Change => ({ op: 'add', key: key('n#1'), field: 'used', by, max: 5 })

      test('of what would be done changes nothing', async () => {
        await write(put('a#1', { body: 'kept' }), put('a#2'))
        await store.check([put('a#1', { was: 1 }), { op: 'delete', key: key('a#2') }, put('a#3', { was: 0 }), add(5)])
        await store.check([])
        expect(await read('a#1')).toMatchObject({ version: 1, body: 'kept' })
        expect(await read('a#2')).toMatchObject({ version: 1 })
        expect([await read('a#3'), await read('n#1')]).toEqual([undefined, undefined])
        await write(put('a#3', { was: 0 }))
      })

      test('throws what the transaction would throw', async () => {
        await write(put('a#1'))
        const told = (...changes: Change[]) => store.check(changes).catch((error: unknown) => error)
        const version = await told(add(1), put('a#1', { was: 0 }), add(9))
        expect([version instanceof BadTransaction, version instanceof Conflict]).toEqual([true, false])
        expect(await told(add(1), put('a#1', { was: 0 }))).toMatchObject({ index: 1, reason: 'version' })
        expect(await told(put('a#1', { was: 1 }), add(6))).toMatchObject({ index: 1, reason: 'bound' })
        expect(await told(put('a#2', { body: 'x'.repeat(MAX_ITEM_BYTES) }))).toBeInstanceOf(BadTransaction)
        expect(await read('a#1')).toMatchObject({ version: 1 })
      })
    })

    describe('add', () => {
      const fixed = { op: 'add' as const, key: key('n#1'), field: 'used' }
      const add = (by: number, more: Partial<Change & { op: 'add' }> = {}): Change => ({ ...fixed, by, ...more })

      test('makes the record and the field, and counts the version', async () => {
        await write(add(2))
        await write(add(0.5, { field: 'other' }))
        await write(add(-3))
        expect(await read('n#1')).toEqual({ key: key('n#1'), version: 3, body: { used: -1, other: 0.5 } })
      })

      test('leaves the rest of the record alone', async () => {
        const fields = { due: 7, instance: 'i', expires: later(1_000) }
        await write(put('n#1', { body: { text: 'x', used: 1 }, ...fields }))
        await write(add(1))
        expect(await read('n#1')).toEqual({ key: key('n#1'), version: 2, body: { text: 'x', used: 2 }, ...fields })
      })

      test('stays between its bounds, both included', async () => {
        await conflict(0, 'bound', add(6, { max: 5 }))
        await conflict(0, 'bound', add(0, { min: 1 }))
        await write(add(5, { min: 5, max: 5 }))
        await conflict(1, 'bound', put('a#1'), add(1, { max: 5 }))
        await conflict(0, 'bound', add(-6, { min: 0 }))
        await write(add(-5, { min: 0 }))
        expect((await read('n#1'))!.body).toEqual({ used: 0 })
        expect(await read('a#1')).toBeUndefined()
      })

      test('does not lose one of many at a time', async () => {
        await Promise.all(Array.from({ length: 20 }, () => write(add(1))))
        expect(await read('n#1')).toMatchObject({ version: 20, body: { used: 20 } })
      })
    })

    describe('transactions', () => {
      test(`have up to ${MAX_CHANGES} changes, perhaps none`, async () => {
        const many = Array.from({ length: MAX_CHANGES + 1 }, (_, index) => put(`a#${1000 + index}`))
        await expect(write(...many)).rejects.toThrow(BadTransaction)
        expect(await store.list('demo', 'a', { limit: 200 })).toEqual([])
        await write(...many.slice(1))
        expect((await store.list('demo', 'a', { limit: 200 })).length).toBe(MAX_CHANGES)
        await write()
      })

      test('have one change of a key', async () => {
        const same = { key: key('a#1'), field: 'n', by: 1, body: {}, was: 0 }
        for (const op of ['put', 'delete', 'check', 'add'] as const)
          await expect(write({ op, ...same }, put('a#2'), put('a#1'))).rejects.toThrow(BadTransaction)
        expect([await read('a#1'), await read('a#2')]).toEqual([undefined, undefined])
        await write(put('a#1'), put('a#1', { key: key('a#1', 'other') }))
      })

      test('have bodies of at most 400 KB of UTF-8', async () => {
        const body = 'ü'.repeat(MAX_ITEM_BYTES / 2 - 1) // and two quotes
        await expect(write(put('a#0'), put('a#1', { body: `${body}!` }))).rejects.toThrow(BadTransaction)
        expect(await read('a#0')).toBeUndefined()
        await write(put('a#1', { body }))
        expect((await read('a#1'))!.body === body).toBe(true)
      })

      test('are seen by all reads that begin afterwards', async () => {
        await write(put('a#1', { due: 1, instance: 'i' }))
        const reads = [
          store.list('demo', 'a', { limit: 1 }),
          store.all('a', { limit: 1 }).then(page => page.items),
          store.due(1, 1),
          store.ofInstance('i', 'a', { limit: 1 }),
        ]
        const item = await read('a#1')
        expect(await Promise.all(reads)).toEqual(reads.map(() => [item]))
      })
    })

    describe('listings', () => {
      test('of a project and kind are in the order of ids and have only those', async () => {
        const mine = ['a#', 'a#-', 'a#10', 'a#9', 'a#B', 'a#_', 'a#a', 'a#a#a', 'a#~']
        const others = ['A#1', 'a', 'a!#1', 'a-b#1', 'aa#1', 'b#1'].map(id => put(id))
        await write(...mine.toReversed().map(id => put(id)), ...others, put('', { key: key('a#11', 'other') }))
        expect(ids(await store.list('demo', 'a', { limit: 100 }))).toEqual(mine)
        const from = (after?: string) => store.list('demo', 'a', { limit: 4, ...(after !== undefined && { after }) })
        expect(await pages(4, from)).toEqual([mine.slice(0, 4), mine.slice(4, 8), mine.slice(8)])
        expect(ids(await from('a#5'))).toEqual(['a#9', 'a#B', 'a#_', 'a#a'])
        expect(ids(await from('Z'))).toEqual(mine.slice(0, 4))
        expect(await from('b#1')).toEqual([])
      })

      test('of a kind have all projects, in pages', async () => {
        const projects = ['*', 'alt', 'demo']
        const each = projects.flatMap(project =>
          ['a#1', 'a#2', 'a#3', 'b#1'].map(id => put('', { key: key(id, project) })),
        )
        await write(...each)
        const found = await allOf('a', 100)
        expect(found.toSorted()).toEqual(projects.flatMap(project => [1, 2, 3].map(id => `${project} a#${id}`)))
        for (const limit of [1, 3, 9]) expect(await allOf('a', limit)).toEqual(found)
        expect(await allOf('c', 1)).toEqual([])
      })

      test('of due records have the earliest first', async () => {
        const due = (id: string, at: number, project = 'demo') => put('', { key: key(id, project), due: at })
        await write(due('a#1', 30), due('b#1', 10), due('a#2', 20, '*'), due('a#3', 31), put('a#4'))
        expect(ids(await store.due(30, 10))).toEqual(['b#1', 'a#2', 'a#1'])
        expect(ids(await store.due(30, 2))).toEqual(['b#1', 'a#2'])
        expect(await store.due(9, 10)).toEqual([])
        await write(due('b#1', 40))
        expect(ids(await store.due(100, 10))).toEqual(['a#2', 'a#1', 'a#3', 'b#1'])
      })

      test('of an instance are in the order of ids, of one kind or all', async () => {
        const of = (id: string, instance: string) => put(id, { instance })
        await write(of('b#1', 'i'), of('a#2', 'i'), of('a#1', 'i'), of('ab#1', 'i'), of('a#3', 'j'), put('a#4'))
        const from = (kind?: string) => (after?: string) =>
          store.ofInstance('i', kind, { limit: 2, ...(after !== undefined && { after }) })
        expect(await pages(2, from())).toEqual([['a#1', 'a#2'], ['ab#1', 'b#1']]) // biome-ignore format: short
        expect(await pages(2, from('a'))).toEqual([['a#1', 'a#2']])
        expect(await pages(2, from('c'))).toEqual([])
      })
    })

    describe('expired records', () => {
      beforeEach(async () => {
        await write(put('a#1', { body: { used: 5 }, due: 1, instance: 'i', expires: later(1_000) }), put('a#2'))
        await write(put('a#1', { body: { used: 5 }, due: 1, instance: 'i', expires: later(1_000) }))
        expect(await read('a#1')).toBeDefined()
        await setup.advance(1_000)
      }, timeout)

      test('are never returned', async () => {
        expect(await read('a#1')).toBeUndefined()
        expect(ids(await store.list('demo', 'a', { limit: 1 }))).toEqual(['a#2'])
        expect(await allOf('a', 1)).toEqual(['demo a#2'])
        expect(await store.due(1, 1)).toEqual([])
        expect(await store.ofInstance('i', undefined, { limit: 1 })).toEqual([])
      })

      test('do not exist for conditions', async () => {
        for (const op of ['check', 'delete'] as const) await conflict(0, 'version', { op, key: key('a#1'), was: 2 })
        await conflict(0, 'version', put('a#1', { was: 2 }))
        await write({ op: 'check', key: key('a#1'), was: 0 })
        await write(put('a#1', { body: 'new', was: 0 }))
        expect(await read('a#1')).toEqual({ key: key('a#1'), version: 1, body: 'new' })
      })

      test('are added to as if they were missing', async () => {
        await write({ op: 'add', key: key('a#1'), field: 'used', by: 1, max: 1 })
        expect(await read('a#1')).toEqual({ key: key('a#1'), version: 1, body: { used: 1 } })
      })
    })
  })
}
