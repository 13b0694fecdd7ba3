import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { until } from '../e2e/coffer.ts'
import { type PythonResult, startWorld, type World } from './clients.ts'

/** Logs in and defines `ask(method, path, element)` in Python, which writes and reads documents with libxml2 alone. */
const PRELUDE = `
import os, requests
from lxml import etree
from lxml.builder import ElementMaker

NS = 'http://docs.openstack.org/database/api/v1.0'
E = ElementMaker(namespace=NS, nsmap={None: NS})
P = ElementMaker(namespace=NS, nsmap={'db': NS})
domain = {'name': 'Default'}
user = {'name': os.environ['OS_USERNAME'], 'password': os.environ['OS_PASSWORD'], 'domain': domain}
scope = {'project': {'name': os.environ['OS_PROJECT_NAME'], 'domain': domain}}
login = requests.post(os.environ['OS_AUTH_URL'] + '/auth/tokens', json={
    'auth': {'identity': {'methods': ['password'], 'password': {'user': user}}, 'scope': scope}})
[url] = [one['url'] for entry in login.json()['token']['catalog'] if entry['type'] == 'database'
         for one in entry['endpoints'] if one['interface'] == 'public']
strict = etree.XMLParser(resolve_entities=False, no_network=True, recover=False)

def send(method, path, body):
    headers = {'X-Auth-Token': login.headers['X-Subject-Token'], 'Accept': 'application/xml',
               'Content-Type': 'application/xml'}
    answer = requests.request(method, path if path.startswith('http') else url + path, data=body, headers=headers)
    assert answer.headers['Content-Type'] == 'application/xml', answer.headers
    root = etree.fromstring(answer.content, strict) if answer.content else None
    return answer.status_code, root

def ask(method, path, element=None, **options):
    options = {'xml_declaration': True, 'encoding': 'UTF-8', **options}
    return send(method, path, None if element is None else etree.tostring(element, **options))

def names(path):
    return [one.get('name') for one in ask('GET', path)[1]]
`

// A second implementation of XML writes and reads the documents.
describe('documents written and read by libxml2', () => {
  let world: World
  let id: string
  beforeAll(async () => {
    world = await startWorld()
  }, 90_000)
  afterAll(() => world.end(), 60_000)

  async function ok(code: string): Promise<PythonResult['result']> {
    const { result, error, message } = await world.python(world.demo, `${PRELUDE}${code}`)
    expect({ code, error, message }).toEqual({ code, error: undefined, message: undefined })
    return result
  }

  it('create an instance, with databases and users', async () => {
    const [status, tag, attributes] = await ok(`
instance = E.instance(
    E.volume(size='1'),
    E.databases(E.database(name='cart', character_set='utf8', collate='de_DE')),
    E.users(E.user(E.databases(E.database(name='cart')), name='ann', password='pw1 <&>"')),
    name='shop <é🐍>', flavorRef='1')
status, root = ask('POST', '/instances', instance, pretty_print=True)
result = [status, root.tag, dict(root.attrib)]`)
    expect([status, tag]).toEqual([200, '{http://docs.openstack.org/database/api/v1.0}instance'])
    expect(attributes).toMatchObject({ name: 'shop <é🐍>', status: 'BUILD' })
    id = attributes.id
    await until(
      'ACTIVE',
      async () => (await ok(`result = ask('GET', '/instances/${id}')[1].get('status')`)) === 'ACTIVE',
    )
    expect(await ok(`result = [names('/instances/${id}/databases'), names('/instances/${id}/users')]`)).toEqual([
      ['cart'],
      ['ann'],
    ])
  })

  it('have the same fields as JSON', async () => {
    const fields = await ok(`
root = ask('GET', '/instances/${id}')[1]
text = lambda path: root.xpath('string(' + path + ')', namespaces={'d': NS})
result = {'name': text('@name'), 'flavor': text('d:flavor/@id'), 'size': text('d:volume/@size'),
          'type': text('d:datastore/d:type'), 'self': text('d:links/d:link[@rel="self"]/@href'),
          'operating_status': text('d:operating_status'), 'region': text('d:region')}`)
    const json = await world.json<Record<string, unknown>>(world.demo, `database instance show ${id}`)
    expect(fields).toEqual({
      name: json['name'],
      flavor: String(json['flavor']),
      size: String(json['volume']),
      type: json['datastore'],
      self: expect.stringMatching(`^http://.*/instances/${id}$`),
      operating_status: json['operating_status'],
      region: json['region'],
    })
  })

  it('keep every name unchanged, as attributes or elements, in any encoding', async () => {
    const names = ['a <b> & "c" \'d\'', 'é🐍ß', ' outer ', 'tab\tand\nline', 'x.xml', ']]>']
    const list = JSON.stringify(names)
    await ok(`
new = ${list}
half = len(new) // 2
assert ask('POST', '/instances/${id}/databases', E.databases(*[E.database(name=name) for name in new[:half]]))[0] == 202
# Children instead of attributes, a prefix instead of a default namespace, references for characters outside ASCII.
rest = P.databases(*[P.database(P.name(name)) for name in new[half:]])
assert ask('POST', '/instances/${id}/databases', rest, encoding='US-ASCII')[0] == 202`)
    const listed = await until('all databases', async () => {
      const present = await ok(`result = names('/instances/${id}/databases')`)
      return present.length === names.length + 1 && present
    })
    expect(listed.toSorted()).toEqual([...names, 'cart'].toSorted())
  })

  it('lead from page to page', async () => {
    const pages = await ok(`
result, path = [], '/instances/${id}/databases?limit=3'
while path:
    root = ask('GET', path)[1]
    result.append([one.get('name') for one in root.iterchildren('{%s}database' % NS)])
    path = root.xpath('string(d:links/d:link[@rel="next"]/@href)', namespaces={'d': NS})`)
    expect(pages.map((page: string[]) => page.length)).toEqual([3, 3, 1])
    expect(new Set(pages.flat()).size).toBe(7)
  })

  it('name the fault', async () => {
    const faults = await ok(`
short = lambda status, root: [status, etree.QName(root).localname, root.get('code'), etree.QName(root).namespace == NS]
result = [short(*ask('GET', '/instances/none')),
          short(*ask('POST', '/instances', E.instance(name='x'), encoding='UTF-16')),
          short(*ask('POST', '/instances', E.instance(name='x'))),
          short(*send('POST', '/instances', b'<!DOCTYPE a [<!ENTITY b "c">]><instance name="&b;"/>'))]`)
    expect(faults).toEqual([
      [404, 'itemNotFound', '404', true],
      [400, 'error', '400 Bad Request', true],
      [400, 'badRequest', '400', true],
      [400, 'error', '400 Bad Request', true],
    ])
  })
})
