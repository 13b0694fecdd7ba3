import { describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { CreateBody } from '../../../lib/instances/create-body.ts'
import { Fault, FilterFault } from '../../../lib/kit/errors.ts'
import { paged } from '../../../lib/kit/http/paging.ts'
import { validated } from '../../../lib/kit/http/parse.ts'
import { parseXml } from '../../../lib/kit/xml/read.ts'
import { writeXml } from '../../../lib/kit/xml/write.ts'
import { seen } from './independent.ts'

/** The samples of the reference: its documents, and what they say in JSON. */
const NS = 'xmlns="http://docs.openstack.org/database/api/v1.0"'
const PROLOG = '<?xml version="1.0" encoding="UTF-8"?>'

const Link = z.object({ href: z.string(), rel: z.string() })
const links = [
  { href: 'https://h/v1.0/77/instances/11', rel: 'self' },
  { href: 'https://h/instances/11', rel: 'bookmark' },
]
const flavorLinks = [{ href: 'https://h/v1.0/77/flavors/1', rel: 'self' }]
const instance = {
  id: '11',
  name: 'shop',
  status: 'BUILD',
  links,
  flavor: { id: '1', links: flavorLinks },
  volume: { size: 2 },
  created: '2013-05-01T10:00:00',
  updated: '2013-05-01T10:00:00',
}
const Instance = z.object({
  id: z.string(),
  name: z.string(),
  status: z.string(),
  links: z.array(Link).optional(),
  flavor: z.object({ id: z.string(), links: z.array(Link) }).optional(),
  volume: z.object({ size: z.number() }).optional(),
  created: z.string().optional(),
  updated: z.string().optional(),
})
const Databases = z.array(z.object({ name: z.string() }))
const next = { url: 'https://h/v1.0/77/instances', query: {}, marker: '11', limit: 1 }
const overLimit = { code: 413, message: 'm', details: 'd', retryAfter: '60' }

/** What is answered: JSON, its XML, and a schema to read it back by. */
const ANSWERS: [string, Record<string, unknown>, string[], z.ZodType][] = [
  [
    'an instance',
    { instance },
    [
      `<instance ${NS} id="11" name="shop" status="BUILD" created="2013-05-01T10:00:00" updated="2013-05-01T10:00:00">`,
      '    <links>',
      '        <link href="https://h/v1.0/77/instances/11" rel="self"/>',
      '        <link href="https://h/instances/11" rel="bookmark"/>',
      '    </links>',
      '    <flavor id="1">',
      '        <links>',
      '            <link href="https://h/v1.0/77/flavors/1" rel="self"/>',
      '        </links>',
      '    </flavor>',
      '    <volume size="2"/>',
      '</instance>',
    ],
    z.object({ instance: Instance }),
  ],
  [
    'users, with an empty list',
    { users: [{ name: 'ann', host: '%', databases: [] }] },
    [`<users ${NS}>`, '    <user name="ann" host="%">', '        <databases/>', '    </user>', '</users>'],
    z.object({ users: z.array(z.object({ name: z.string(), host: z.string(), databases: Databases })) }),
  ],
  [
    'a boolean',
    { rootEnabled: true },
    [`<rootEnabled ${NS}>True</rootEnabled>`],
    z.object({ rootEnabled: z.boolean() }),
  ],
  [
    'the root user',
    { user: { name: 'root', password: 's3cret' } },
    [`<user ${NS} name="root" password="s3cret"/>`],
    z.object({ user: z.object({ name: z.string(), password: z.string() }) }),
  ],
  [
    'a fault',
    new Fault(404, 'The resource could not be found.').body(),
    [`<itemNotFound ${NS} code="404">`, '    <message>The resource could not be found.</message>', '</itemNotFound>'],
    z.object({ itemNotFound: z.object({ code: z.number(), message: z.string() }) }),
  ],
  [
    'the rate limit',
    { overLimit },
    [
      `<overLimit ${NS} code="413" retryAfter="60">`,
      '    <message>m</message>',
      '    <details>d</details>',
      '</overLimit>',
    ],
    z.object({
      overLimit: z.object({ code: z.number(), message: z.string(), details: z.string(), retryAfter: z.string() }),
    }),
  ],
  [
    'backups',
    { backups: [{ id: '22', name: 'b1', status: 'COMPLETED', size: 0.1 }] },
    [
      `<backups ${NS}>`,
      '    <backup>',
      '        <id>22</id>',
      '        <name>b1</name>',
      '        <status>COMPLETED</status>',
      '        <size>0.1</size>',
      '    </backup>',
      '</backups>',
    ],
    z.object({
      backups: z.array(z.object({ id: z.string(), name: z.string(), status: z.string(), size: z.number() })),
    }),
  ],
  [
    'limits',
    { limits: [{ verb: 'ABSOLUTE', max_instances: 10 }] },
    [
      `<limits ${NS}>`,
      '    <limit>',
      '        <verb>ABSOLUTE</verb>',
      '        <max_instances>10</max_instances>',
      '    </limit>',
      '</limits>',
    ],
    z.object({ limits: z.array(z.object({ verb: z.string(), max_instances: z.number() })) }),
  ],
  ['an empty list', { databases: [] }, [`<databases ${NS}/>`], z.object({ databases: Databases })],
  [
    'a list of texts',
    { ip: ['10.0.0.1', '10.0.0.2'] },
    [`<ip ${NS}>`, '    <item>10.0.0.1</item>', '    <item>10.0.0.2</item>', '</ip>'],
    z.object({ ip: z.array(z.string()) }),
  ],
  [
    'nothing, true and false',
    { datastore: { type: null, active: true, default: false } },
    [
      `<datastore ${NS}>`,
      '    <type>None</type>',
      '    <active>True</active>',
      '    <default>False</default>',
      '</datastore>',
    ],
    z.object({ datastore: z.object({ type: z.string().nullable(), active: z.boolean(), default: z.boolean() }) }),
  ],
  [
    'an object without a top key',
    { name: 'max_connections', restart_required: true, min: 1 },
    [
      `<object ${NS}>`,
      '    <name>max_connections</name>',
      '    <restart_required>True</restart_required>',
      '    <min>1</min>',
      '</object>',
    ],
    z.object({ name: z.string(), restart_required: z.boolean(), min: z.number() }),
  ],
  [
    'a key that is no name',
    { instance: { configuration: { 'a b': '1', '2c': { x: 'y' } } } },
    [
      `<instance ${NS}>`,
      '    <configuration>',
      '        <item key="a b">1</item>',
      '        <item key="2c">',
      '            <x>y</x>',
      '        </item>',
      '    </configuration>',
      '</instance>',
    ],
    z.object({
      instance: z.object({ configuration: z.record(z.string(), z.union([z.string(), z.object({ x: z.string() })])) }),
    }),
  ],
]

describe.each(ANSWERS)('%s', (_name, json, lines, schema) => {
  const document = `${[PROLOG, ...lines].join('\n')}\n`

  it('is written as the reference has it', () => {
    expect(writeXml(json)).toBe(document)
  })

  it('means the same to another parser', () => {
    expect(seen(writeXml(json))).toEqual(seen(lines.map(line => line.trim()).join('')))
  })

  it('is read back as it was', () => {
    expect(validated(schema, parseXml(document))).toEqual(json)
  })
})

describe('a page', () => {
  const page = { instances: [{ id: '11', name: 'shop', status: 'ACTIVE' }] }

  it('has its links as a child of the list, once', () => {
    const written = seen(writeXml(paged('instances', page.instances, next)))
    expect(written.children.map(({ name }) => name)).toEqual(['instance', 'links'])
    expect(written.children[1]?.children.map(({ name, attributes }) => [name, attributes])).toEqual([
      ['link', { href: 'https://h/v1.0/77/instances?limit=1&marker=11', rel: 'next' }],
    ])
  })

  it('is only the list where no more is to come', () => {
    expect(seen(writeXml(paged('instances', page.instances, undefined))).children).toHaveLength(1)
  })
})

describe('an answer of filters', () => {
  it('is an error, in the namespace', () => {
    const body = new FilterFault(400, 'a <b> & c').body()
    const { name, uri, attributes, children } = seen(writeXml(body, 'error'))
    expect({ name, uri, attributes }).toEqual({
      name: 'error',
      uri: 'http://docs.openstack.org/database/api/v1.0',
      attributes: { code: '400 Bad Request', title: 'Bad Request' },
    })
    expect(children.map(({ name: child, text }) => [child, text])).toEqual([['message', body['message']]])
  })
})

const Action = z.record(z.string(), z.unknown())
const Resize = z.object({
  resize: z.union([
    z.strictObject({ volume: z.object({ size: z.union([z.int(), z.string()]) }) }),
    z.strictObject({ flavorRef: z.union([z.string(), z.int()]) }),
  ]),
})

describe('a request', () => {
  it('creates an instance', () => {
    const document = `<instance ${NS} name="shop" flavorRef="1"><volume size="2"/>
 <databases><database name="cart" character_set="utf8" collate="utf8_general_ci"/></databases>
 <users><user name="ann" password="pw1"><databases><database name="cart"/></databases></user></users></instance>`
    expect(validated(CreateBody, parseXml(document))).toEqual({
      instance: {
        name: 'shop',
        flavorRef: '1',
        volume: { size: 2 },
        databases: [{ name: 'cart', character_set: 'utf8', collate: 'utf8_general_ci' }],
        users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
      },
    })
  })

  it('has lists, booleans, numbers and nothing where the schema says so', () => {
    const document = `<instance ${NS} name="shop" replica_count="2" configuration="None">
      <volume><size>3</size><type>None</type></volume><databases/><users></users>
      <nics><nic net-id="n1"/></nics><modules><module id="0f5d9d7e-5a0e-4b9e-8f43-4c0f4dd0ab0a"/></modules>
      <access is_public="True"><allowed_cidrs><allowed_cidr>10.0.0.0/8</allowed_cidr></allowed_cidrs></access>
      <metadata><anything/><anything>x</anything></metadata></instance>`
    expect(validated(CreateBody, parseXml(document))).toEqual({
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
    [`<resize ${NS}><volume size="4"/></resize>`, Resize, { resize: { volume: { size: 4 } } }],
    [`<resize ${NS}><flavorRef>2</flavorRef></resize>`, Resize, { resize: { flavorRef: '2' } }],
    [`<restart ${NS}/>`, z.object({ restart: z.strictObject({}) }), { restart: {} }],
  ])('acts: %s', (document, schema, body) => {
    // As an action's route does it: the body's one key first, what is in it once it is known.
    expect(validated(schema, validated(Action, parseXml(document)))).toEqual(body)
  })

  it('with a number that never comes to its end is refused in time', () => {
    // Were each digit tried with every other, this would take a quarter of an hour.
    const endless = `<instance replica_count="${'1'.repeat(1_000_000)}x"/>`
    expect(() => validated(CreateBody, parseXml(endless))).toThrow('expected number, received string')
  })

  it('without a top key stands in <object>', () => {
    const Log = z.object({ name: z.string(), enable: z.union([z.literal(0), z.literal(1)]).optional() })
    expect(validated(Log, parseXml('<object><name>general</name><enable>1</enable></object>'))).toEqual({
      name: 'general',
      enable: 1,
    })
    expect(validated(Log, parseXml('<name>general</name>'))).toEqual({ name: 'general' })
  })

  it('is refused by the schema in the words of JSON', () => {
    const wrong = (document: string) => {
      try {
        return validated(CreateBody, parseXml(document))
      } catch (error) {
        return error instanceof Fault ? [error.status, error.message] : error
      }
    }
    expect(wrong('<instance name="a" replica_count="x"/>')).toEqual([
      400,
      "Validation error: instance['replica_count'] expected number, received string",
    ])
    expect(wrong('<instance name="a"><name>b</name></instance>')).toEqual([
      400,
      "Validation error: instance['name'] expected string, received array",
    ])
    expect(wrong('<instance name="a"><access is_public="yes"/></instance>')).toEqual([
      400,
      "Validation error: instance['access']['is_public'] expected boolean, received string",
    ])
    expect(wrong('<instance name="a">text</instance>')).toMatchObject([400, expect.stringContaining('malformed')])
    expect(wrong('<other name="a"/>')).toMatchObject([400, expect.stringContaining('instance')])
  })

  it('is JSON’s own matter where it is JSON', () => {
    expect(() => validated(CreateBody, { instance: { name: 'a', access: { is_public: 'True' } } })).toThrow(
      'expected boolean',
    )
  })
})
