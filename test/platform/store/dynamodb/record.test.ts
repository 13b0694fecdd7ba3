import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { toJson } from '../../../../lib/platform/store/changes.ts'
import { type Attributes, encodeRecord, toItem } from '../../../../lib/platform/store/dynamodb/record.ts'
import { MAX_ITEM_BYTES } from '../../../../lib/ports/store.ts'

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

describe("a record in DynamoDB's format", () => {
  it('is read as it was written, whatever its body', () => {
    const body = fc.oneof(fc.jsonValue(), fc.dictionary(fc.string(), fc.oneof(fc.double(), fc.jsonValue())))
    fc.assert(
      fc.property(body, value => {
        const json: unknown = JSON.parse(JSON.stringify(value))
        expect(toItem(encodeRecord(record(json)))).toEqual({ key, version: 3, body: json })
      }),
      { numRuns: 300 },
    )
  })

  it("keeps an instance's id as it always was, and reads other subjects back", () => {
    const [instance, cluster] = [
      { kind: 'instance', id: 'i1' },
      { kind: 'cluster', id: 'c/1' },
    ]
    const item = encodeRecord({ ...record({}), subject: instance, parent: cluster })
    expect([item['inst'], item['par']]).toEqual([{ S: 'i1' }, { S: 'cluster/c/1' }])
    expect(toItem(item)).toEqual({ key, version: 3, body: {}, subject: instance, parent: cluster })
  })

  it('fits into an item with the longest body, even one that hardly compresses', () => {
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
    const item = encodeRecord({ ...record(body), key: { project: 'p'.repeat(32), id: `a#${'i'.repeat(1000)}` } })
    expect(sizeOf(item)).toBeLessThan(400 * 1024)
    expect(toItem(item).body === body).toBe(true)
  })
})
