import { describe, expect, it } from '@jest/globals'
import { parseCache } from '../../../lib/platform/store/parse-cache.ts'

const TEXT = '{"a":[{"b":1}]}'
const VALUE = { a: [{ b: 1 }] }
const ofKey = (index: number) => `p/a#${index}`

/** A cache with a text that was parsed so many times. */
function setUp(key: string, times: number) {
  const parsed = parseCache()
  for (let time = 0; time < times; time++) parsed(key, TEXT)
  return parsed
}

describe('a text parsed again', () => {
  it('is the same value from the second time on, while the text is the same', () => {
    const parsed = setUp(ofKey(1), 1)
    const second = parsed(ofKey(1), TEXT)
    expect(second).toEqual(VALUE)
    expect(parsed(ofKey(1), TEXT)).toBe(second)
  })

  it('follows a changed text', () => {
    const parsed = setUp(ofKey(1), 3)
    for (let times = 0; times < 3; times++) expect(parsed(ofKey(1), '{"a":2}')).toEqual({ a: 2 })
    for (let times = 0; times < 3; times++) expect(parsed(ofKey(1), TEXT)).toEqual(VALUE)
  })

  it('is frozen, with everything in it', () => {
    const value = setUp(ofKey(1), 1)(ofKey(1), TEXT)
    expect(Reflect.set(Object(value), 'a', 1)).toBe(false)
    expect(Reflect.set(Object(value).a[0], 'b', 2)).toBe(false)
  })

  it('is not shared the first time', () => {
    const parsed = parseCache()
    Reflect.set(Object(parsed(ofKey(1), TEXT)), 'a', 1)
    expect(parsed(ofKey(1), TEXT)).toEqual(VALUE)
  })

  it('stays cached while it is read, and is dropped after two thousand others', () => {
    const parsed = setUp(ofKey(0), 1)
    const first = parsed(ofKey(0), TEXT)
    for (let index = 1; index <= 999; index++) parsed(ofKey(index), TEXT)
    expect(parsed(ofKey(0), TEXT)).toBe(first)
    for (let index = 1_000; index <= 3_000; index++) parsed(ofKey(index), TEXT)
    expect(parsed(ofKey(0), TEXT)).not.toBe(first)
  })
})
