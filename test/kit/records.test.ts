import { beforeEach, describe, expect, it } from '@jest/globals'
import { recordType, renameFields, type Stored, upgradeField, withOptimisticRetry } from '../../lib/kit/records.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite/store.ts'
import { Conflict, type Store } from '../../lib/ports/store.ts'
import { virtualClock } from './virtual-clock.ts'

const P = 'p1'
const RANGE = { limit: 10 }
const I1 = { kind: 'instance', id: 'i1' }

let store: Store
beforeEach(() => {
  store = sqliteStore(':memory:', { clock: virtualClock() })
})

describe('renameFields', () => {
  it('renames fields in their places, and keeps the others', () => {
    const body = renameFields({ id: 1, naps: 2, tries: 3 }, { naps: 'waits', nothing: 'else' })
    expect(body).toEqual({ id: 1, waits: 2, tries: 3 })
    expect(Object.keys(body)).toEqual(['id', 'waits', 'tries'])
  })

  it('keeps values that are null, and does not go into values', () => {
    expect(renameFields({ naps: null, inner: { naps: 1 } }, { naps: 'waits' })).toEqual({
      waits: null,
      inner: { naps: 1 },
    })
  })

  it('returns the same object if it has none of the old names', () => {
    for (const body of [{}, { waits: 2 }]) expect(renameFields(body, { naps: 'waits' })).toBe(body)
  })

  it('does not change the object that it gets', () => {
    const body = Object.freeze({ naps: 2 })
    expect(renameFields(body, { naps: 'waits' })).toEqual({ waits: 2 })
    expect(body).toEqual({ naps: 2 })
  })
})

describe('upgradeField', () => {
  const upgrade = (value: object) => renameFields(value, { sent: 'sequence' })

  it('upgrades the object in the field, and keeps the other fields', () => {
    const body = Object.freeze({ id: 1, report: Object.freeze({ sent: 7 }) })
    expect(upgradeField(body, 'report', upgrade)).toEqual({ id: 1, report: { sequence: 7 } })
    expect(body).toEqual({ id: 1, report: { sent: 7 } })
  })

  it.each([
    ['has no such field', {}],
    ['has null there', { report: null }],
    ['has a text there', { report: 'sent' }],
    ['has an object there that is current', { report: { sequence: 7 } }],
  ])('returns the same object if it %s', (_, body) => {
    expect(upgradeField(body, 'report', upgrade)).toBe(body)
  })
})

describe('recordType with an upgrade', () => {
  interface Saga {
    id: string
    waits: number
    report?: { sequence: number }
  }
  const upgraded: object[] = []
  const oldSagas = recordType<object>('saga')
  const sagas = recordType<Saga>('saga', body => {
    upgraded.push(body)
    return upgradeField(renameFields(body, { naps: 'waits' }), 'report', report =>
      renameFields(report, { sent: 'sequence' }),
    )
  })
  const OLD = { id: 'a', naps: 1, report: { sent: 7 } }
  const CURRENT: Saga = { id: 'b', waits: 2, report: { sequence: 8 } }
  const AS_CURRENT: Saga[] = [{ id: 'a', waits: 1, report: { sequence: 7 } }, CURRENT]

  beforeEach(async () => {
    upgraded.length = 0
    await store.transact([
      oldSagas.create(P, 'a', OLD, { subject: I1, due: 5 }),
      sagas.create(P, 'b', CURRENT, { subject: I1 }),
    ])
  })
  const bodies = (items: Stored<Saga>[]) => items.map(({ body }) => body)

  it('reads a body with old field names as a current one, by every method', async () => {
    expect((await sagas.get(store, P, 'a'))?.body).toEqual(AS_CURRENT[0])
    expect((await sagas.get(store, P, 'b'))?.body).toEqual(AS_CURRENT[1])
    expect(bodies(await sagas.list(store, P, RANGE))).toEqual(AS_CURRENT)
    const page = await sagas.all(store, RANGE)
    expect(bodies(page.items).toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual(AS_CURRENT)
    expect(bodies(await sagas.ofSubject(store, I1, RANGE))).toEqual(AS_CURRENT)
    expect(upgraded).toHaveLength(8)
  })

  it('has the cursor of the next page', async () => {
    const first = await sagas.all(store, { limit: 1 })
    expect(first.next).toBeDefined()
    const second = await sagas.all(store, { limit: 1, after: first.next ?? '' })
    expect(
      bodies([...first.items, ...second.items])
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(['a', 'b'])
  })

  it('returns the item of the store itself if its body is current', async () => {
    const item = await store.get(sagas.key(P, 'b'))
    if (!item) throw new Error('no item')
    expect(sagas.read(item)).toBe(item)
    const oldItem = await store.get(sagas.key(P, 'a'))
    if (!oldItem) throw new Error('no item')
    const { body, ...rest } = sagas.read(oldItem)
    expect(body).toEqual(AS_CURRENT[0])
    expect(rest).toEqual({ ...oldItem, body: undefined })
    expect(oldItem.body).toEqual(OLD)
  })

  it('writes the current form at the next change, and not before', async () => {
    const item = await sagas.get(store, P, 'a')
    if (!item) throw new Error('no record')
    expect((await store.get(item.key))?.body).toEqual(OLD)
    await store.transact([sagas.replace(item, { ...item.body, waits: 9 })])
    const stored = await store.get(item.key)
    expect(stored?.body).toEqual({ id: 'a', waits: 9, report: { sequence: 7 } })
    expect([stored?.due, stored?.subject]).toEqual([5, I1])
    await expect(store.transact([sagas.replace(item, item.body)])).rejects.toThrow(Conflict)
  })

  it('returns undefined for a record that does not exist, without an upgrade', async () => {
    expect(await sagas.get(store, P, 'c')).toBeUndefined()
    expect(upgraded).toEqual([])
  })

  it('does not upgrade a body that is null', async () => {
    await store.transact([recordType<null>('saga').create(P, 'n', null)])
    expect((await sagas.get(store, P, 'n'))?.body).toBeNull()
    expect(upgraded).toEqual([])
  })
})

describe('recordType without an upgrade', () => {
  it('returns what the store returned', async () => {
    const things = recordType<{ naps: number }>('thing')
    await store.transact([things.create(P, 't', { naps: 1 })])
    const item = await store.get(things.key(P, 't'))
    if (!item) throw new Error('no item')
    expect(things.read(item)).toBe(item)
    expect(item.body).toEqual({ naps: 1 })
  })

  it('finds records by what they belong to, and by what that is a part of', async () => {
    const things = recordType<object>('thing')
    const C1 = { kind: 'cluster', id: 'c1' }
    await store.transact([
      things.create(P, 'b', {}, { subject: I1, parent: C1 }),
      things.create(P, 'a', {}, { subject: I1 }),
      recordType<object>('other').create(P, 'c', {}, { subject: I1, parent: C1 }),
    ])
    const keysOf = (items: Stored<object>[]) => items.map(({ key }) => key.id)
    expect(keysOf(await things.ofSubject(store, I1, RANGE))).toEqual(['thing#a', 'thing#b'])
    expect(keysOf(await things.ofParent(store, C1, RANGE))).toEqual(['thing#b'])
    expect(await things.ofParent(store, I1, RANGE)).toEqual([])
  })

  it('replaces a record with the same indexed fields, except those that are given', async () => {
    const things = recordType<object>('thing')
    const C1 = { kind: 'cluster', id: 'c1' }
    const indexed = { due: 5, subject: I1, parent: C1, expires: 9_000_000_000_000 }
    await store.transact([things.create(P, 't', {}, indexed)])
    const item = await things.get(store, P, 't')
    if (!item) throw new Error('no item')
    const change = { op: 'put', key: item.key, body: {}, was: 1 }
    expect(things.replace(item, {})).toEqual({ ...change, ...indexed })
    const { due, expires } = indexed
    expect(things.replace(item, {}, { subject: C1, parent: undefined })).toEqual({
      ...change,
      due,
      expires,
      subject: C1,
    })
  })

  it('keeps apart records of another kind, whose name begins the same', async () => {
    const things = recordType<object>('thing')
    await store.transact([things.create(P, 't', {}), recordType<object>('things').create(P, 't', {})])
    expect(await things.list(store, P, RANGE)).toHaveLength(1)
  })
})

describe('withOptimisticRetry', () => {
  const counters = recordType<{ value: number }>('counter')

  it('decides again with what another writer stored in between', async () => {
    await store.transact([counters.create(P, 'c', { value: 0 })])
    const increase = () =>
      withOptimisticRetry(store, async () => {
        const item = await counters.get(store, P, 'c')
        if (!item) throw new Error('no counter')
        const body = { value: item.body.value + 1 }
        return { changes: [counters.replace(item, body)], result: body.value }
      })
    const results = await Promise.all([increase(), increase(), increase()])
    expect(results.toSorted()).toEqual([1, 2, 3])
    expect((await counters.get(store, P, 'c'))?.body).toEqual({ value: 3 })
  })

  it('gives up after 50 attempts, and at once over a bound or another error', async () => {
    for (const [error, attempts] of [
      [new Conflict(0, 'version'), 50],
      [new Conflict(0, 'bound'), 1],
      [new Error('no store'), 1],
    ] as const) {
      let count = 0
      const decide = async () => {
        count += 1
        throw error
      }
      await expect(withOptimisticRetry(store, decide)).rejects.toBe(error)
      expect(count).toBe(attempts)
    }
  })
})
