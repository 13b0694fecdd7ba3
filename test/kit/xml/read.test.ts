import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { z } from 'zod'
import { CreateBody } from '../../../lib/instances/verbs/create.ts'
import { Fault } from '../../../lib/kit/errors.ts'
import { parseAs } from '../../../lib/kit/http/parse.ts'
import { parseXml } from '../../../lib/kit/xml/read.ts'
import { writeXml } from '../../../lib/kit/xml/write.ts'
import { parseWithSaxes, type SaxesElement } from './saxes.ts'

/** Any text that XML 1.0 can hold: all planes, spaces and line ends at either end, characters to be escaped. */
const text = fc
  .oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom(...'<>&"\'\r\n\t ]]>é🐍a1%@.') }),
    fc.constantFrom('None', 'True', '1'),
  )
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the characters that XML cannot hold
  .map(value => value.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '_'))
/** A nullable text: `None` is read as null there. */
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

describe('a round trip through XML', () => {
  it.each(shapes)('keeps %s, and another parser finds the same texts', (_name, schema, values) => {
    fc.assert(
      fc.property(values, value => {
        const document = writeXml(value)
        expect(parseAs(schema, parseXml(document))).toEqual(value)
        const texts = new Set(textsIn(parseWithSaxes(document)))
        expect(textsOf(value).filter(expected => !texts.has(expected))).toEqual([])
      }),
      { numRuns: 60 },
    )
  })

  it.each([...Object.getOwnPropertyNames(Object.prototype), 'prototype'])('keeps the key %s', key => {
    const value = { instance: { configuration: Object.fromEntries([[key, 'x']]) } }
    const schema = z.object({ instance: z.object({ configuration: z.custom<object>() }) })
    const read = parseAs(schema, parseXml(writeXml(value)))
    expect(Object.entries(read.instance.configuration)).toEqual([[key, 'x']])
  })
})

const textsIn = ({ attributes, children, text: content }: SaxesElement): string[] => [
  ...Object.values(attributes),
  content,
  ...children.flatMap(textsIn),
]

function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : []
}

const XMLNS = 'xmlns="http://docs.openstack.org/database/api/v1.0"'
const Action = z.record(z.string(), z.unknown())
const Resize = z.object({
  resize: z.union([
    z.strictObject({ volume: z.object({ size: z.union([z.int(), z.string()]) }) }),
    z.strictObject({ flavorRef: z.union([z.string(), z.int()]) }),
  ]),
})

describe('parseAs of a request in XML', () => {
  it("reads the reference's request to create an instance", () => {
    const document = `<instance ${XMLNS} name="shop" flavorRef="1"><volume size="2"/>
 <databases><database name="cart" character_set="utf8" collate="utf8_general_ci"/></databases>
 <users><user name="ann" password="pw1"><databases><database name="cart"/></databases></user></users></instance>`
    expect(parseAs(CreateBody, parseXml(document))).toEqual({
      instance: {
        name: 'shop',
        flavorRef: '1',
        volume: { size: 2 },
        databases: [{ name: 'cart', character_set: 'utf8', collate: 'utf8_general_ci' }],
        users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
      },
    })
  })

  it('reads lists, booleans, numbers and null where the schema has them', () => {
    const document = `<instance ${XMLNS} name="shop" replica_count="2" configuration="None">
      <volume><size>3</size><type>None</type></volume><databases/><users></users>
      <nics><nic net-id="n1"/></nics><modules><module id="0f5d9d7e-5a0e-4b9e-8f43-4c0f4dd0ab0a"/></modules>
      <access is_public="True"><allowed_cidrs><allowed_cidr>10.0.0.0/8</allowed_cidr></allowed_cidrs></access>
      <metadata><anything/><anything>x</anything></metadata></instance>`
    expect(parseAs(CreateBody, parseXml(document))).toEqual({
      instance: {
        name: 'shop',
        replica_count: 2,
        configuration: null,
        volume: { size: 3, type: null },
        databases: [],
        users: [],
        nics: [{ 'net-id': 'n1' }],
        modules: [{ id: '0f5d9d7e-5a0e-4b9e-8f43-4c0f4dd0ab0a' }],
        access: { is_public: true, allowed_cidrs: ['10.0.0.0/8'] },
      },
    })
  })

  it.each([
    [`<resize ${XMLNS}><volume size="4"/></resize>`, Resize, { resize: { volume: { size: 4 } } }],
    [`<resize ${XMLNS}><flavorRef>2</flavorRef></resize>`, Resize, { resize: { flavorRef: '2' } }],
    [`<restart ${XMLNS}/>`, z.object({ restart: z.strictObject({}) }), { restart: {} }],
  ])('reads the action %s', (document, schema, body) => {
    // As the actions' route does it: first the body's only key, then the schema of that action.
    expect(parseAs(schema, parseAs(Action, parseXml(document)))).toEqual(body)
  })

  it('refuses a very long malformed number quickly', () => {
    // Quadratic matching would take a quarter of an hour.
    const longNumber = `<instance replica_count="${'1'.repeat(1_000_000)}x"/>`
    expect(() => parseAs(CreateBody, parseXml(longNumber))).toThrow('expected number, received string')
  })

  it('reads <object> as a body without a top key', () => {
    const Log = z.object({ name: z.string(), enable: z.union([z.literal(0), z.literal(1)]).optional() })
    expect(parseAs(Log, parseXml('<object><name>general</name><enable>1</enable></object>'))).toEqual({
      name: 'general',
      enable: 1,
    })
    expect(parseAs(Log, parseXml('<name>general</name>'))).toEqual({ name: 'general' })
  })

  it('words its refusals as for JSON', () => {
    const refusalOf = (document: string) => {
      try {
        return parseAs(CreateBody, parseXml(document))
      } catch (error) {
        return error instanceof Fault ? [error.status, error.message] : error
      }
    }
    expect(refusalOf('<instance name="a" replica_count="x"/>')).toEqual([
      400,
      "Validation error: instance['replica_count'] expected number, received string",
    ])
    expect(refusalOf('<instance name="a"><name>b</name></instance>')).toEqual([
      400,
      "Validation error: instance['name'] expected string, received array",
    ])
    expect(refusalOf('<instance name="a"><access is_public="yes"/></instance>')).toEqual([
      400,
      "Validation error: instance['access']['is_public'] expected boolean, received string",
    ])
    expect(refusalOf('<instance name="a">text</instance>')).toMatchObject([400, expect.stringContaining('malformed')])
    expect(refusalOf('<other name="a"/>')).toMatchObject([400, expect.stringContaining('instance')])
  })

  it('does not coerce the values of a JSON body', () => {
    expect(() => parseAs(CreateBody, { instance: { name: 'a', access: { is_public: 'True' } } })).toThrow(
      'expected boolean',
    )
  })
})
