import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { z } from 'zod'
import { Fault, FilterFault } from '../../../lib/kit/errors.ts'
import { pageBody } from '../../../lib/kit/http/paging.ts'
import { parseAs } from '../../../lib/kit/http/parse.ts'
import { parseXml } from '../../../lib/kit/xml/read.ts'
import { writeXml } from '../../../lib/kit/xml/write.ts'
import { faultBody } from '../../../lib/trove/faults.ts'
import { parseWithSaxes } from './saxes.ts'

/** The samples of Trove's API reference: XML documents, and the same in JSON. */
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

/** Answers: JSON, the lines of its XML, and a schema to read it back. */
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
    faultBody(new Fault(404, 'The resource could not be found.')),
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
    'null, true and false',
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
    'a key that is not an XML name',
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

describe.each(ANSWERS)('writeXml of %s', (_name, json, lines, schema) => {
  const document = `${[PROLOG, ...lines].join('\n')}\n`

  it('writes the document of the reference', () => {
    expect(writeXml(json)).toBe(document)
  })

  it('means the same to another parser', () => {
    expect(parseWithSaxes(writeXml(json))).toEqual(parseWithSaxes(lines.map(line => line.trim()).join('')))
  })

  it('reads the document back', () => {
    expect(parseAs(schema, parseXml(document))).toEqual(json)
  })
})

describe('writeXml of a page', () => {
  const page = { instances: [{ id: '11', name: 'shop', status: 'ACTIVE' }] }

  it('writes the links once, as a child of the list', () => {
    const list = parseWithSaxes(writeXml(pageBody('instances', page.instances, next)))
    expect(list.children.map(({ name }) => name)).toEqual(['instance', 'links'])
    expect(list.children[1]?.children.map(({ name, attributes }) => [name, attributes])).toEqual([
      ['link', { href: 'https://h/v1.0/77/instances?limit=1&marker=11', rel: 'next' }],
    ])
  })

  it('writes no links on the last page', () => {
    expect(parseWithSaxes(writeXml(pageBody('instances', page.instances, undefined))).children).toHaveLength(1)
  })
})

describe('writeXml of a filter’s fault', () => {
  it('names the root `error`, in the namespace of the API', () => {
    const body = faultBody(new FilterFault(400, 'a <b> & c'))
    const { name, uri, attributes, children } = parseWithSaxes(writeXml(body, 'error'))
    expect({ name, uri, attributes }).toEqual({
      name: 'error',
      uri: 'http://docs.openstack.org/database/api/v1.0',
      attributes: { code: '400 Bad Request', title: 'Bad Request' },
    })
    expect(children.map(({ name: child, text }) => [child, text])).toEqual([['message', body['message']]])
  })
})

describe('writeXml', () => {
  it('writes U+FFFD for characters that XML cannot hold', () => {
    const { attributes } = parseWithSaxes(writeXml({ database: { name: 'a\u0000b\u001fc\ud800d\uffffe' } }))
    expect(attributes['name']).toBe('a\ufffdb\ufffdc\ufffdd\ufffde')
  })

  it('writes a well-formed document for any JSON', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ stringUnit: 'binary' })), value => {
        expect(parseWithSaxes(writeXml(value)).uri).toBe('http://docs.openstack.org/database/api/v1.0')
      }),
    )
  })
})
