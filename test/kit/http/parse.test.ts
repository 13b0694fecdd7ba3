import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { z } from 'zod'
import { Fault } from '../../../lib/kit/errors.ts'
import { assertFitsRecord, parseAs, parseBoolean, parseJson } from '../../../lib/kit/http/parse.ts'
import { faultBody } from '../../../lib/trove/faults.ts'

const faultOf = (run: () => unknown): Fault => {
  try {
    run()
  } catch (error) {
    if (error instanceof Fault) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
const nested = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`

describe('parseJson', () => {
  it('returns what JSON.parse returns', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), value => {
        const text = JSON.stringify(value)
        expect(parseJson(text)).toEqual(JSON.parse(text))
      }),
    )
  })

  it('refuses malformed JSON in the form of Trove’s filters', () => {
    for (const text of ['{', '{"a":1,}', 'NaN', "{'a':1}", '\ufeff{}', '<instance/>', '{"a":1}{"b":2}']) {
      const fault = faultOf(() => parseJson(text))
      expect(fault.status).toBe(400)
      expect(faultBody(fault)).toMatchObject({ code: '400 Bad Request', title: 'Bad Request' })
    }
  })

  it('accepts 32 levels of nesting and refuses more', () => {
    expect(parseJson(nested(32))).toBeDefined()
    for (const levels of [33, 1_000, 400_000]) expect(faultOf(() => parseJson(nested(levels))).status).toBe(400)
  })

  it('accepts 1 MiB and refuses one byte more', () => {
    const text = JSON.stringify('x'.repeat(1024 * 1024 - 2))
    expect(parseJson(text)).toHaveLength(1024 * 1024 - 2)
    expect(faultBody(faultOf(() => parseJson(`${text} `)))).toMatchObject({ overLimit: { code: 413 } })
  })
})

describe('assertFitsRecord', () => {
  it('limits the size of a stored request in bytes', () => {
    assertFitsRecord({ name: 'x' })
    expect(faultOf(() => assertFitsRecord('ä'.repeat(80_000))).status).toBe(413)
  })
})

describe('parseAs', () => {
  const Body = z.object({
    instance: z.object({
      size: z.union([z.int().min(1, 'must be at least 1'), z.string()]),
      tags: z.array(z.string()),
    }),
  })
  const messageFor = (value: unknown, schema: z.ZodType = Body) => faultOf(() => parseAs(schema, value)).message

  it('names the path of an error as Trove does', () => {
    const text = messageFor({ instance: { size: 0, tags: ['a', 7] } })
    expect(text).toBe(
      "Validation error: instance['size'] must be at least 1; instance['tags'][1] expected string, received number",
    )
  })

  it('reports the errors of the closest branch of a union', () => {
    const either = z.union([
      z.object({ many: z.array(z.object({ name: z.string() })) }),
      z.object({ single: z.string() }),
    ])
    expect(messageFor({ many: [{ name: 1 }] }, either)).toBe(
      "Validation error: many[0]['name'] expected string, received number",
    )
    expect(messageFor(7, either)).toBe('Validation error: expected object, received number')
  })

  it('limits the number of errors and the length of keys in its message', () => {
    expect(messageFor({ instance: { size: 1, tags: Array(5_000).fill(0) } }).length).toBeLessThan(2_000)
    expect(messageFor({ ['k'.repeat(9_000)]: 1 }, z.record(z.string(), z.object({}))).length).toBeLessThan(10_000)
  })
})

describe('parseBoolean', () => {
  it.each(['True', 'true', 'TRUE', '1', 'yes', ' on '])('reads %j as true', text => {
    expect(parseBoolean(text)).toBe(true)
  })

  it.each(['False', 'false', '0', 'no', 'Off'])('reads %j as false', text => {
    expect(parseBoolean(text)).toBe(false)
  })

  it.each([undefined, '', 'maybe', '2', 'truefalse', '__proto__'])('does not read %j as a boolean', text => {
    expect(parseBoolean(text)).toBeUndefined()
  })
})
