import { describe, expect, it } from '@jest/globals'
import { parsing } from '../../../lib/platform/store/parsed.ts'

const TEXT = '{"a":[{"b":1}]}'
const VALUE = { a: [{ b: 1 }] }
const ofKey = (index: number) => `p/a#${index}`

/** What was parsed so often before. */
function setUp(key: string, times: number) {
  const parsed = parsing()
  for (let time = 0; time < times; time++) parsed(key, TEXT)
  return parsed
}

describe('a record parsed again', () => {
  it('is the same value from the second time on, while its text is the same', () => {
    const parsed = setUp(ofKey(1), 1)
    const second = parsed(ofKey(1), TEXT)
    expect(second).toEqual(VALUE)
    expect(parsed(ofKey(1), TEXT)).toBe(second)
  })

  it('is what its text says now', () => {
    const parsed = setUp(ofKey(1), 3)
    for (let times = 0; times < 3; times++) expect(parsed(ofKey(1), '{"a":2}')).toEqual({ a: 2 })
    for (let times = 0; times < 3; times++) expect(parsed(ofKey(1), TEXT)).toEqual(VALUE)
  })

  it('cannot be changed by who shares it, nor anything within it', () => {
    const value = setUp(ofKey(1), 1)(ofKey(1), TEXT)
    expect(Reflect.set(Object(value), 'a', 1)).toBe(false)
    expect(Reflect.set(Object(value).a[0], 'b', 2)).toBe(false)
  })

  it('is the reader’s own the first time', () => {
    const parsed = parsing()
    Reflect.set(Object(parsed(ofKey(1), TEXT)), 'a', 1)
    expect(parsed(ofKey(1), TEXT)).toEqual(VALUE)
  })

  it('is kept while it is read, and forgotten after two thousand others', () => {
    const parsed = setUp(ofKey(0), 1)
    const first = parsed(ofKey(0), TEXT)
    for (let index = 1; index <= 999; index++) parsed(ofKey(index), TEXT)
    expect(parsed(ofKey(0), TEXT)).toBe(first)
    for (let index = 1_000; index <= 3_000; index++) parsed(ofKey(index), TEXT)
    expect(parsed(ofKey(0), TEXT)).not.toBe(first)
  })
})
