import { expect, it } from '@jest/globals'
import fc from 'fast-check'
import { z } from 'zod'
import { validated } from '../../../lib/kit/http/parse.ts'
import { parseXml } from '../../../lib/kit/xml/read.ts'
import { writeXml } from '../../../lib/kit/xml/write.ts'
import { seen } from './independent.ts'

/** Any text that XML 1.0 can hold: all planes, spaces and line ends at either end, what has to be escaped. */
const text = fc
  .oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom(...'<>&"\'\r\n\t ]]>é🐍a1%@.') }),
    fc.constantFrom('None', 'True', '1'),
  )
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those that XML cannot hold
  .map(value => value.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '_'))
/** Where nothing may stand too, `None` is taken for it. */
const orNull = fc.option(text.filter(value => value !== 'None'))

const Links = z.array(z.object({ href: z.string(), rel: z.string() }))
const links = fc.array(fc.record({ href: text, rel: text }), { maxLength: 2 })
const Names = z.array(z.object({ name: z.string() }))
const names = fc.array(fc.record({ name: text }), { maxLength: 3 })

const shapes: [string, z.ZodType, fc.Arbitrary<object>][] = [
  [
    'instances',
    z.object({
      instances: z.array(
        z.object({
          id: z.string(),
          name: z.string(),
          status: z.string(),
          links: Links,
          flavor: z.object({ id: z.string(), links: Links }),
          volume: z.object({ size: z.int(), used: z.number().optional() }),
          access: z.object({ is_public: z.boolean().optional(), allowed_cidrs: z.array(z.string()).optional() }),
          ip: z.array(z.string()).optional(),
          addresses: z.array(z.object({ address: z.string(), type: z.string() })),
          fault: z.object({ message: z.string(), details: z.string().nullable() }).optional(),
        }),
      ),
    }),
    fc.record({
      instances: fc.array(
        fc.record(
          {
            id: text,
            name: text,
            status: text,
            links,
            flavor: fc.record({ id: text, links }),
            volume: fc.record(
              { size: fc.integer(), used: fc.double({ noNaN: true, noDefaultInfinity: true }).map(value => value + 0) },
              { requiredKeys: ['size'] },
            ),
            access: fc.record(
              { is_public: fc.boolean(), allowed_cidrs: fc.array(text, { maxLength: 2 }) },
              { requiredKeys: [] },
            ),
            ip: fc.array(text, { maxLength: 2 }),
            addresses: fc.array(fc.record({ address: text, type: text }), { maxLength: 2 }),
            fault: fc.record({ message: text, details: orNull }),
          },
          { requiredKeys: ['id', 'name', 'status', 'links', 'flavor', 'volume', 'access', 'addresses'] },
        ),
        { maxLength: 3 },
      ),
    }),
  ],
  [
    'users',
    z.object({
      users: z.array(
        z.object({ name: z.string(), password: z.string(), host: z.string().nullable(), databases: Names }),
      ),
    }),
    fc.record({
      users: fc.array(fc.record({ name: text, password: text, host: orNull, databases: names }), { maxLength: 3 }),
    }),
  ],
  ['databases', z.object({ databases: Names }), fc.record({ databases: names })],
  [
    'operations',
    z.object({
      operations: z.array(
        z.object({ id: z.string(), step: z.string().nullable(), steps: z.array(z.string()), percent: z.number() }),
      ),
    }),
    fc.record({
      operations: fc.array(
        fc.record({ id: text, step: orNull, steps: fc.array(text, { maxLength: 4 }), percent: fc.nat(100) }),
        { maxLength: 3 },
      ),
    }),
  ],
  [
    'a configuration of any keys',
    z.object({ instance: z.object({ configuration: z.record(z.string(), z.string()) }) }),
    fc.record({
      instance: fc.record({
        configuration: fc.dictionary(
          fc.oneof(text, fc.stringMatching(/^[a-z_][a-z0-9_.]{0,8}$/)).filter(key => key !== '__proto__'),
          text,
          { noNullPrototype: true },
        ),
      }),
    }),
  ],
  ['a flag', z.object({ rootEnabled: z.boolean() }), fc.record({ rootEnabled: fc.boolean() })],
]

it.each(shapes)(
  '%s are read as they were written, and are well-formed to another parser with the same texts',
  (_name, schema, values) => {
    fc.assert(
      fc.property(values, value => {
        const document = writeXml(value)
        expect(validated(schema, parseXml(document))).toEqual(value)
        const all = new Set(textsIn(seen(document)))
        expect(textsOf(value).filter(wanted => !all.has(wanted))).toEqual([])
      }),
      { numRuns: 60 },
    )
  },
)

it.each([...Object.getOwnPropertyNames(Object.prototype), 'prototype'])('reads the key %s as it was written', key => {
  const value = { instance: { configuration: Object.fromEntries([[key, 'x']]) } }
  const schema = z.object({ instance: z.object({ configuration: z.custom<object>() }) })
  const read = validated(schema, parseXml(writeXml(value)))
  expect(Object.entries(read.instance.configuration)).toEqual([[key, 'x']])
})

const textsIn = ({ attributes, children, text: own }: ReturnType<typeof seen>): string[] => [
  ...Object.values(attributes),
  own,
  ...children.flatMap(textsIn),
]

function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : []
}

it('writes U+FFFD for what XML cannot hold', () => {
  const { attributes } = seen(writeXml({ database: { name: 'a\u0000b\u001fc\ud800d\uffffe' } }))
  expect(attributes['name']).toBe('a\ufffdb\ufffdc\ufffdd\ufffde')
})

it('writes well-formed documents of any JSON', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ stringUnit: 'binary' })), value => {
      expect(seen(writeXml(value)).uri).toBe('http://docs.openstack.org/database/api/v1.0')
    }),
  )
})
