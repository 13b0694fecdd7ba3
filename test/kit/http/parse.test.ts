import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { z } from 'zod'
import { Fault } from '../../../lib/kit/errors.ts'
import { assertStorable, parseJson, validated } from '../../../lib/kit/http/parse.ts'

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

describe('the parser of bodies', () => {
  it('gives what JSON.parse gives', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), value => {
        const text = JSON.stringify(value)
        expect(parseJson(text)).toEqual(JSON.parse(text))
      }),
    )
  })

  it('refuses what is no JSON, in the shape of the filters', () => {
    for (const text of ['{', '{"a":1,}', 'NaN', "{'a':1}", '\ufeff{}', '<instance/>', '{"a":1}{"b":2}']) {
      const fault = faultOf(() => parseJson(text))
      expect(fault.status).toBe(400)
      expect(fault.body()).toMatchObject({ code: '400 Bad Request', title: 'Bad Request' })
    }
  })

  it('takes 32 levels and not one more, however deep', () => {
    expect(parseJson(nested(32))).toBeDefined()
    for (const levels of [33, 1_000, 400_000]) expect(faultOf(() => parseJson(nested(levels))).status).toBe(400)
  })

  it('takes 1 MiB and not one byte more', () => {
    const text = JSON.stringify('x'.repeat(1024 * 1024 - 2))
    expect(parseJson(text)).toHaveLength(1024 * 1024 - 2)
    expect(faultOf(() => parseJson(`${text} `)).body()).toMatchObject({ overLimit: { code: 413 } })
  })

  it('bounds what is kept by its bytes', () => {
    assertStorable({ name: 'x' })
    expect(faultOf(() => assertStorable('ä'.repeat(80_000))).status).toBe(413)
  })
})

describe('the schema check', () => {
  const Body = z.object({
    instance: z.object({
      size: z.union([z.int().min(1, 'must be at least 1'), z.string()]),
      tags: z.array(z.string()),
    }),
  })
  const complaint = (value: unknown, schema: z.ZodType = Body) => faultOf(() => validated(schema, value)).message

  it('names the place as Trove does', () => {
    const text = complaint({ instance: { size: 0, tags: ['a', 7] } })
    expect(text).toBe(
      "Validation error: instance['size'] must be at least 1; instance['tags'][1] expected string, received number",
    )
  })

  it('says what is wrong with the nearest form of a union', () => {
    const either = z.union([z.object({ many: z.array(z.object({ name: z.string() })) }), z.object({ one: z.string() })])
    expect(complaint({ many: [{ name: 1 }] }, either)).toBe(
      "Validation error: many[0]['name'] expected string, received number",
    )
    expect(complaint(7, either)).toBe('Validation error: expected object, received number')
  })

  it('does not repeat a long list of complaints, or a long key', () => {
    expect(complaint({ instance: { size: 1, tags: Array(5_000).fill(0) } }).length).toBeLessThan(2_000)
    expect(complaint({ ['k'.repeat(9_000)]: 1 }, z.record(z.string(), z.object({}))).length).toBeLessThan(10_000)
  })
})
