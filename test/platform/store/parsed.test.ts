import { describe, expect, it } from '@jest/globals'
import { parsing } from '../../../lib/platform/store/parsed.ts'

describe('a record parsed again', () => {
  it('is the same value while its text is', () => {
    const parsed = parsing()
    expect(parsed('p/a#1', '{"a":[1]}')).toBe(parsed('p/a#1', '{"a":[1]}'))
  })

  it('is what its text says now', () => {
    const parsed = parsing()
    parsed('p/a#1', '{"a":1}')
    expect(parsed('p/a#1', '{"a":2}')).toEqual({ a: 2 })
    expect(parsed('p/a#1', '{"a":1}')).toEqual({ a: 1 })
  })

  it('cannot be changed by who read it, nor anything within it', () => {
    const value = parsing()('p/a#1', '{"a":[{"b":1}]}')
    expect(Reflect.set(Object(value), 'a', 1)).toBe(false)
    expect(Reflect.set(Object(value).a[0], 'b', 2)).toBe(false)
  })

  it('is forgotten after two thousand others', () => {
    const parsed = parsing()
    const first = parsed('p/a#0', '{"a":1}')
    for (let index = 1; index <= 2_000; index++) parsed(`p/a#${index}`, '{"a":1}')
    expect(parsed('p/a#0', '{"a":1}')).not.toBe(first)
  })
})
