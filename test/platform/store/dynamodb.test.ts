import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { planned } from '../../../lib/platform/store/dynamodb-plan.ts'
import { type Attributes, encoded, toItem, toJson } from '../../../lib/platform/store/dynamodb-record.ts'
import { entriesOf, TABLE } from '../../../lib/platform/store/dynamodb-table.ts'
import { type Change, MAX_ITEM_BYTES } from '../../../lib/platform/store/store.ts'

const key = { project: 'demo', id: 'a#1' }
const record = (body: unknown) => ({ key, version: 3, json: toJson(body), entries: [] })

/** The size of an item by DynamoDB's rules: names and values in UTF-8, numbers at most 21 bytes. */
function sizeOf(item: Attributes): number {
  const sizes = Object.entries(item).map(([name, { S, N, B, M }]) => {
    const value =
      S !== undefined ? Buffer.byteLength(S) : N !== undefined ? 21 : B !== undefined ? B.length : sizeOf(M!) + 3
    return Buffer.byteLength(name) + value + 1
  })
  return sizes.reduce((sum, size) => sum + size, 0)
}

describe("a record in DynamoDB's form", () => {
  it('is read as it was written, whatever JSON its body is', () => {
    const body = fc.oneof(fc.jsonValue(), fc.dictionary(fc.string(), fc.oneof(fc.double(), fc.jsonValue())))
    fc.assert(
      fc.property(body, value => {
        const json: unknown = JSON.parse(JSON.stringify(value))
        expect(toItem(encoded(record(json)))).toEqual({ key, version: 3, body: json })
      }),
      { numRuns: 300 },
    )
  })

  it('has room for the longest body, even one that hardly shrinks', () => {
    const next = fc.sample(fc.integer({ min: 0x20, max: 0x7ff }), { numRuns: 300_000, seed: 7 })
    let body = ''
    let bytes = 2
    for (const code of next) {
      const char = code === 0x22 || code === 0x5c ? 'x' : String.fromCharCode(code)
      bytes += Buffer.byteLength(char)
      if (bytes > MAX_ITEM_BYTES) break
      body += char
    }
    expect(Buffer.byteLength(toJson(body))).toBeGreaterThan(MAX_ITEM_BYTES - 2)
    const item = encoded({ ...record(body), key: { project: 'p'.repeat(32), id: `a#${'i'.repeat(1000)}` } })
    expect(sizeOf(item)).toBeLessThan(400 * 1024)
    expect(toItem(item).body === body).toBe(true)
  })
})

describe('a plan', () => {
  const options = { table: 't', now: 1_000, token: 'new' }
  const put = (more: Partial<Change & { op: 'put' }> = {}): Change => ({ op: 'put', key, body: {}, ...more })
  const facts = { due: 5, instance: 'i' }
  const there = (more = {}) =>
    encoded({ ...record({ used: 1 }), ...facts, entries: entriesOf(key, facts, 'old'), ...more })

  it('writes index entries only where they change', () => {
    const [kind, due, instance] = entriesOf(key, facts, 'old')
    const same = planned([put(facts)], [there()], options)
    expect([same.before, same.after]).toEqual([[], []])
    const moved = planned([put({ ...facts, due: 6 })], [there()], options)
    expect(moved.before.map(({ entry }) => entry)).toEqual([entriesOf(key, { due: 6 }, 'new')[1]])
    expect(moved.after).toEqual([due])
    const gone = planned([{ op: 'delete', key }], [there()], options)
    expect([gone.before, gone.after]).toEqual([[], [kind, due, instance]])
  })

  it('renews the entries of a record that is to live longer', () => {
    const kept = planned(
      [put(facts)],
      [there({ expires: 2_000, entries: [{ ...entriesOf(key, {}, 'old')[0]!, ttl: 2 }] })],
      options,
    )
    expect(kept.before.map(({ entry }) => entry.ttl)).toEqual([undefined, undefined, undefined])
    const expiring = planned([put({ expires: 2_001 })], [undefined], options)
    expect(expiring.before.map(({ entry }) => entry.ttl)).toEqual([3])
  })

  it('never removes the entries of a record that is written anew', () => {
    const again = planned([put({ was: 0, ...facts })], [there({ expires: 999 })], options)
    const names = again.before.map(({ entry }) => entry.sk)
    expect(names.filter(name => again.after.some(({ sk }) => sk === name))).toEqual([])
  })

  it('holds a counter to its bounds and not to a version', () => {
    const add: Change = { op: 'add', key, field: 'used', by: 2, min: 0, max: 5 }
    const [write] = planned([add], [there()], options).writes
    expect(write?.Update?.ConditionExpression).not.toMatch(/\bv\b/)
    expect(write?.Update?.ExpressionAttributeValues).toMatchObject({
      ':by': { N: '2' },
      ':min': { N: '-2' },
      ':max': { N: '3' },
    })
  })
})

describe('the table', () => {
  it('removes what has expired, and has no index that could be behind', () => {
    expect(TABLE.TimeToLiveSpecification).toEqual({ AttributeName: 'ttl', Enabled: true })
    expect(Object.keys(TABLE).filter(name => name.includes('Index'))).toEqual([])
  })
})
