import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import {
  BadTransaction,
  type Change,
  Conflict,
  MAX_CHANGES,
  MAX_ITEM_BYTES,
  type Store,
} from '../../lib/ports/store.ts'
import { C, I, key, put, type StoreSetup, storeContext } from './store-context.ts'
import { storeReadCases } from './store-reads.ts'

export type { StoreSetup }

/** The suite of every store; `timeout` is for each test, in milliseconds. */
export function storeCases(name: string, make: () => Promise<StoreSetup>, timeout = 10_000): void {
  let setup: StoreSetup
  let store: Store

  const test = (title: string, run: () => Promise<void>) => it(title, run, timeout)
  const context = storeContext(() => setup)
  const { write, read, later, conflict } = context

  describe(name, () => {
    beforeEach(async () => {
      setup = await make()
      store = setup.store
    }, timeout)
    afterEach(() => setup.close(), timeout)

    describe('records', () => {
      test('are read as they were written, as separate objects', async () => {
        const body = { text: 'Zürich 🏦 "\\\u0001', nested: [{ n: 1.5 }, null, true] }
        await write(put('a#1', { body, due: 7, subject: I, parent: C, expires: later(1_000) }))
        const item = await read('a#1')
        expect(item).toEqual({
          key: key('a#1'),
          version: 1,
          body,
          due: 7,
          subject: I,
          parent: C,
          expires: later(1_000),
        })
        // What was read may be frozen or a copy: changing it must not change the record.
        Reflect.set(item!.body as object, 'text', 'changed')
        expect((await read('a#1'))!.body).toEqual(body)
        for (const value of ['text', 0, null, []]) {
          await write(put('a#2', { body: value }))
          expect((await read('a#2'))!.body).toEqual(value)
        }
      })

      test('are undefined if they do not exist in the project', async () => {
        await write(put('a#1'))
        expect(await read('a#2')).toBeUndefined()
        expect(await store.get(key('a#1', '*'))).toBeUndefined()
      })

      test('are replaced completely, and their version rises by one', async () => {
        await write(put('a#1', { body: { a: 1 }, due: 7, subject: I, parent: C, expires: later(1_000) }))
        await write(put('a#1', { body: { b: 2 } }))
        expect(await read('a#1')).toEqual({ key: key('a#1'), version: 2, body: { b: 2 } })
        expect(await store.due(100, 10)).toEqual([])
        expect(await store.ofSubject(I, undefined, { limit: 10 })).toEqual([])
        expect(await store.ofParent(C, undefined, { limit: 10 })).toEqual([])
      })

      test('are deleted, and start again at version 1', async () => {
        await write(put('a#1'))
        await write(put('a#1'))
        await write({ op: 'delete', key: key('a#1') }, { op: 'delete', key: key('a#2') })
        expect(await read('a#1')).toBeUndefined()
        await write(put('a#1'))
        expect((await read('a#1'))!.version).toBe(1)
      })
    })

    describe('conditions', () => {
      test('hold for the given version, where 0 means that there is no record', async () => {
        await write(put('a#1', { was: 0 }), { op: 'check', key: key('a#2'), was: 0 })
        await write(put('a#1', { was: 1 }))
        await write({ op: 'check', key: key('a#1'), was: 2 }, { op: 'delete', key: key('a#2'), was: 0 })
        expect((await read('a#1'))!.version).toBe(2)
        await write({ op: 'delete', key: key('a#1'), was: 2 })
        expect(await read('a#1')).toBeUndefined()
      })

      for (const op of ['put', 'delete', 'check'] as const)
        for (const was of [0, 1, 3])
          test(`refuse to ${op} version 2 with was ${was}`, async () => {
            await write(put('a#1'))
            await write(put('a#1', { body: 'kept' }))
            const change: Change = op === 'put' ? put('a#1', { was }) : { op, key: key('a#1'), was }
            await conflict(1, 'version', put('a#0'), change, put('a#2'))
            expect(await read('a#1')).toMatchObject({ version: 2, body: 'kept' })
            expect([await read('a#0'), await read('a#2')]).toEqual([undefined, undefined])
          })

      test('report the first one that fails', async () => {
        const add: Change = { op: 'add', key: key('n#1'), field: 'used', by: 2, max: 1 }
        await conflict(1, 'bound', put('a#0'), add, put('a#1', { was: 1 }))
        await conflict(1, 'version', put('a#0'), put('a#1', { was: 1 }), add)
        expect(await read('n#1')).toBeUndefined()
      })
    })

    describe('check', () => {
      const add = (by: number): Change => ({ op: 'add', key: key('n#1'), field: 'used', by, max: 5 })

      test('changes nothing', async () => {
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
        const checkError = (...changes: Change[]) => store.check(changes).catch((error: unknown) => error)
        const version = await checkError(add(1), put('a#1', { was: 0 }), add(9))
        expect([version instanceof BadTransaction, version instanceof Conflict]).toEqual([true, false])
        expect(await checkError(add(1), put('a#1', { was: 0 }))).toMatchObject({ index: 1, reason: 'version' })
        expect(await checkError(put('a#1', { was: 1 }), add(6))).toMatchObject({ index: 1, reason: 'bound' })
        expect(await checkError(put('a#2', { body: 'x'.repeat(MAX_ITEM_BYTES) }))).toBeInstanceOf(BadTransaction)
        expect(await read('a#1')).toMatchObject({ version: 1 })
      })
    })

    describe('add', () => {
      const fixed = { op: 'add' as const, key: key('n#1'), field: 'used' }
      const add = (by: number, bounds: Partial<Change & { op: 'add' }> = {}): Change => ({ ...fixed, by, ...bounds })

      test('creates the record and the field, and raises the version', async () => {
        await write(add(2))
        await write(add(0.5, { field: 'other' }))
        await write(add(-3))
        expect(await read('n#1')).toEqual({ key: key('n#1'), version: 3, body: { used: -1, other: 0.5 } })
      })

      test('leaves the rest of the record unchanged', async () => {
        const fields = { due: 7, subject: I, parent: C, expires: later(1_000) }
        await write(put('n#1', { body: { text: 'x', used: 1 }, ...fields }))
        await write(add(1))
        expect(await read('n#1')).toEqual({ key: key('n#1'), version: 2, body: { text: 'x', used: 2 }, ...fields })
      })

      test('keeps the number between its bounds, both included', async () => {
        await conflict(0, 'bound', add(6, { max: 5 }))
        await conflict(0, 'bound', add(0, { min: 1 }))
        await write(add(5, { min: 5, max: 5 }))
        await conflict(1, 'bound', put('a#1'), add(1, { max: 5 }))
        await conflict(0, 'bound', add(-6, { min: 0 }))
        await write(add(-5, { min: 0 }))
        expect((await read('n#1'))!.body).toEqual({ used: 0 })
        expect(await read('a#1')).toBeUndefined()
      })

      test('loses none of many concurrent additions', async () => {
        await Promise.all(Array.from({ length: 20 }, () => write(add(1))))
        expect(await read('n#1')).toMatchObject({ version: 20, body: { used: 20 } })
      })
    })

    describe('transactions', () => {
      test(`have 0 to ${MAX_CHANGES} changes`, async () => {
        const many = Array.from({ length: MAX_CHANGES + 1 }, (_, index) => put(`a#${1000 + index}`))
        await expect(write(...many)).rejects.toThrow(BadTransaction)
        expect(await store.list('demo', 'a', { limit: 200 })).toEqual([])
        await write(...many.slice(1))
        expect((await store.list('demo', 'a', { limit: 200 })).length).toBe(MAX_CHANGES)
        await write()
      })

      test('refuse two changes of one key', async () => {
        const same = { key: key('a#1'), field: 'n', by: 1, body: {}, was: 0 }
        for (const op of ['put', 'delete', 'check', 'add'] as const)
          await expect(write({ op, ...same }, put('a#2'), put('a#1'))).rejects.toThrow(BadTransaction)
        expect([await read('a#1'), await read('a#2')]).toEqual([undefined, undefined])
        await write(put('a#1'), put('a#1', { key: key('a#1', 'other') }))
      })

      test('refuse a body of more than 400 KB of UTF-8', async () => {
        const body = 'ü'.repeat(MAX_ITEM_BYTES / 2 - 1) // and two quotes
        await expect(write(put('a#0'), put('a#1', { body: `${body}!` }))).rejects.toThrow(BadTransaction)
        expect(await read('a#0')).toBeUndefined()
        await write(put('a#1', { body }))
        expect((await read('a#1'))!.body === body).toBe(true)
      })

      test('are visible to all reads that begin afterwards', async () => {
        await write(put('a#1', { due: 1, subject: I, parent: C }))
        const reads = [
          store.list('demo', 'a', { limit: 1 }),
          store.all('a', { limit: 1 }).then(page => page.items),
          store.due(1, 1),
          store.ofSubject(I, 'a', { limit: 1 }),
          store.ofParent(C, 'a', { limit: 1 }),
        ]
        const item = await read('a#1')
        expect(await Promise.all(reads)).toEqual(reads.map(() => [item]))
      })
    })

    storeReadCases(() => setup, context, timeout)
  })
}
