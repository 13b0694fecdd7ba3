import { describe, expect, it } from '@jest/globals'
import {
  assertSameKeys,
  BadKeys,
  type KeyDocument,
  parseKeys,
  withCurrent,
  withKey,
  withoutKey,
  writeKeyDocument,
} from '../../../lib/platform/secrets/key-set.ts'

const bytes = (fill: number) => new Uint8Array(32).fill(fill)
const encoded = (fill: number) => Buffer.from(bytes(fill)).toString('base64url')
const one: KeyDocument = { current: 'a', keys: [{ id: 'a', key: encoded(1) }] }
const setOf = (document: KeyDocument) => parseKeys(writeKeyDocument(document)).set

describe('a set of master keys', () => {
  it('gets a key that is not current until it is made so', () => {
    const two = withKey(one, 'b', bytes(2))
    expect(setOf(two).current.id).toBe('a')
    expect(setOf(two).byId.get('b')?.bytes).toEqual(bytes(2))
    expect(setOf(withCurrent(two, 'b')).current).toEqual({ id: 'b', bytes: bytes(2) })
    expect(() => withCurrent(two, 'c')).toThrow(BadKeys)
  })

  it('loses a key, but not the current one, and remembers which were revoked', () => {
    const two = withCurrent(withKey(one, 'b', bytes(2)), 'b')
    expect([...setOf(withoutKey(two, 'a', false)).byId.keys()]).toEqual(['b'])
    expect(setOf(withoutKey(two, 'a', false)).revoked).toEqual([])
    expect(setOf(withoutKey(two, 'a', true)).revoked).toEqual(['a'])
    expect(() => withoutKey(two, 'b', false)).toThrow(/current key/)
    expect(() => withoutKey(two, 'c', false)).toThrow(/no key c/)
  })

  it('may not give an id to another key', () => {
    const other: KeyDocument = { current: 'a', keys: [{ id: 'a', key: encoded(9) }] }
    expect(() => assertSameKeys(setOf(one), setOf(other))).toThrow(/another key under the id a/)
    expect(() => assertSameKeys(setOf(one), setOf(withKey(one, 'b', bytes(2))))).not.toThrow()
  })
})
