import { describe, expect, it } from '@jest/globals'
import { planTransaction } from '../../../../lib/platform/store/dynamodb/plan.ts'
import { encodeRecord } from '../../../../lib/platform/store/dynamodb/record.ts'
import { entriesOf } from '../../../../lib/platform/store/dynamodb/table.ts'
import type { Change } from '../../../../lib/ports/store.ts'

const key = { project: 'demo', id: 'a#1' }

describe('a transaction plan', () => {
  const options = { table: 't', now: 1_000, token: 'new' }
  const put = (fields: Partial<Change & { op: 'put' }> = {}): Change => ({ op: 'put', key, body: {}, ...fields })
  const indexed = { due: 5, subject: { kind: 'instance', id: 'i' }, parent: { kind: 'cluster', id: 'c' } }
  const existing = (fields = {}) =>
    encodeRecord({
      key,
      version: 3,
      json: '{"used":1}',
      ...indexed,
      entries: entriesOf(key, indexed, 'old'),
      ...fields,
    })

  it('writes index entries only where they change', () => {
    const [kind, due, subject, parent] = entriesOf(key, indexed, 'old')
    const same = planTransaction([put(indexed)], [existing()], options)
    expect([same.before, same.after]).toEqual([[], []])
    const moved = planTransaction([put({ ...indexed, due: 6 })], [existing()], options)
    expect(moved.before.map(({ entry }) => entry)).toEqual([entriesOf(key, { due: 6 }, 'new')[1]])
    expect(moved.after).toEqual([due])
    const gone = planTransaction([{ op: 'delete', key }], [existing()], options)
    expect([gone.before, gone.after]).toEqual([[], [kind, due, subject, parent]])
  })

  it('replaces the entries of a record whose expiry changes', () => {
    const unlimited = planTransaction(
      [put(indexed)],
      [existing({ expires: 2_000, entries: [{ ...entriesOf(key, {}, 'old')[0]!, ttl: 2 }] })],
      options,
    )
    expect(unlimited.before.map(({ entry }) => entry.ttl)).toEqual([undefined, undefined, undefined, undefined])
    const expiring = planTransaction([put({ expires: 2_001 })], [undefined], options)
    expect(expiring.before.map(({ entry }) => entry.ttl)).toEqual([3])
  })

  it('never removes the entries of a record that is written again', () => {
    const again = planTransaction([put({ was: 0, ...indexed })], [existing({ expires: 999 })], options)
    const names = again.before.map(({ entry }) => entry.sk)
    expect(names.filter(name => again.after.some(({ sk }) => sk === name))).toEqual([])
  })

  it('makes an addition depend on its bounds and not on a version', () => {
    const add: Change = { op: 'add', key, field: 'used', by: 2, min: 0, max: 5 }
    const [write] = planTransaction([add], [existing()], options).writes
    expect(write?.Update?.ConditionExpression).not.toMatch(/\bv\b/)
    expect(write?.Update?.ExpressionAttributeValues).toMatchObject({
      ':by': { N: '2' },
      ':min': { N: '-2' },
      ':max': { N: '3' },
    })
  })
})
