import { beforeAll, describe, expect, it } from '@jest/globals'
import { routes } from '../../functions/api.ts'
import { parseWithSaxes, type SaxesElement } from '../kit/xml/saxes.ts'
import { pathSegment, rawRequest } from './api-helpers.ts'
import { sharedCloud } from './cloud.ts'
import { request, until, waitUntilActive } from './coffer.ts'
import { bodyDifferences, childrenNamed } from './xml-comparison.ts'

const NS = 'http://docs.openstack.org/database/api/v1.0'
const ASKS = { accept: 'application/xml' }
const SENDS = { ...ASKS, 'content-type': 'application/xml' }
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/
const SHOP = `<?xml version="1.0" encoding="UTF-8"?>
<instance xmlns="${NS}" name="shop" flavorRef="1"><volume size="1"/>
 <databases><database name="cart" character_set="utf8" collate="de_DE"/></databases>
 <users><user name="ann" password="pw1"><databases><database name="cart"/></databases></user></users></instance>`

const { coffer, demo, admin } = sharedCloud()
let shop: string
let second: string
beforeAll(async () => {
  const name = 'b &lt;&amp;&gt; é'
  const document = `<instance xmlns="${NS}" name="${name}"><flavorRef>1</flavorRef><volume><size>1</size></volume></instance>`
  ;[shop, second] = await Promise.all([created(SHOP), created(document)])
  await Promise.all([shop, second].map(id => waitUntilActive(demo, id)))
})

async function created(document: string): Promise<string> {
  const answer = await demo.call('POST', '/instances', document, SENDS)
  const root = xml(answer)
  expect([answer.status, root.name]).toEqual([200, 'instance'])
  return root.attributes['id'] ?? ''
}

/** The root of the response's document, in the API's namespace. */
function xml({ headers, text }: { headers: Headers; text: string }): SaxesElement {
  expect(headers.get('content-type')).toBe('application/xml')
  expect(text.startsWith('<?xml version="1.0" encoding="UTF-8"?>\n')).toBe(true)
  const root = parseWithSaxes(text)
  expect(root.uri).toBe(NS)
  return root
}

const get = async (path: string, session = demo) => xml(await session.call('GET', path, undefined, ASKS))
const namesOf = ({ children }: SaxesElement) => children.map(({ attributes }) => attributes['name'])

describe('an instance in XML', () => {
  it('is created with databases and users', async () => {
    expect(namesOf(await get(`/instances/${shop}/databases`))).toEqual(['cart'])
    const [ann] = (await get(`/instances/${shop}/users`)).children
    expect(ann?.attributes).toEqual({ name: 'ann', host: '%' })
    expect(ann?.children.flatMap(namesOf)).toEqual(['cart'])
  })

  it('is shown with attributes, children and links', async () => {
    const root = await get(`/instances/${shop}`)
    expect(root.attributes).toEqual({
      id: shop,
      name: 'shop',
      status: 'ACTIVE',
      created: expect.stringMatching(TIME),
      updated: expect.stringMatching(TIME),
    })
    expect(childrenNamed(root, 'volume')[0]?.attributes).toMatchObject({
      size: '1',
      used: expect.stringMatching(/^0(\.\d+)?$/),
    })
    expect(childrenNamed(root, 'flavor')[0]?.attributes).toEqual({ id: '1' })
    expect(childrenNamed(root, 'links')[0]?.children.map(({ name, attributes }) => [name, attributes])).toEqual([
      ['link', { href: `${coffer.base}/v1.0/${demo.project}/instances/${shop}`, rel: 'self' }],
      ['link', { href: `${coffer.base}/instances/${shop}`, rel: 'bookmark' }],
    ])
    expect((await get(`/instances/${second}`)).attributes['name']).toBe('b <&> é')
  })

  it('is listed in pages whose link is a child of the list', async () => {
    const first = await get('/instances?limit=1')
    const [instance, links, ...rest] = first.children
    expect([instance?.name, links?.name, rest]).toEqual(['instance', 'links', []])
    const next = links?.children[0]?.attributes
    expect(next?.['rel']).toBe('next')
    const last = await get(next?.['href'] ?? '')
    expect(last.children).toHaveLength(1)
    expect([instance, ...last.children].map(item => item?.attributes['id']).toSorted()).toEqual(
      [shop, second].toSorted(),
    )
  })

  it('accepts actions', async () => {
    const act = (document: string) => demo.call('POST', `/instances/${second}/action`, document, SENDS)
    const answer = await act('<reset_status><force_delete/></reset_status>')
    expect([answer.status, answer.text, answer.headers.get('content-type')]).toEqual([202, '', 'application/xml'])
    const refused = await act('<reset_status/>')
    expect([refused.status, xml(refused).name, xml(refused).attributes['code']]).toEqual([403, 'forbidden', '403'])
  })
})

describe('databases and users in XML', () => {
  const users = () => `/instances/${shop}/users`

  it('are created, listed, granted, revoked, changed and deleted', async () => {
    const send = async (method: string, path: string, document?: string) => {
      const answer = await demo.call(method, path, document, document === undefined ? ASKS : SENDS)
      expect([answer.status, answer.text, answer.headers.get('content-type')]).toEqual([202, '', 'application/xml'])
    }
    await send(
      'POST',
      `/instances/${shop}/databases`,
      `<databases xmlns="${NS}"><database name="x &quot;&lt;é🐍"/><database><name>books</name></database></databases>`,
    )
    await until('both', async () => (await get(`/instances/${shop}/databases`)).children.length === 3)
    expect(namesOf(await get(`/instances/${shop}/databases`)).toSorted()).toEqual(['books', 'cart', 'x "<é🐍'])
    await send(
      'POST',
      users(),
      `<users xmlns="${NS}"><user name="bob.xml" password="pw2" host="%"><databases/></user></users>`,
    )
    await until('bob', async () => namesOf(await get(users())).includes('bob.xml'))
    const bob = `${users()}/${pathSegment('bob.xml')}`
    await send('PUT', `${bob}/databases`, '<databases><database name="books"/></databases>')
    expect(namesOf(await get(`${bob}/databases`))).toEqual(['books'])
    await send('DELETE', `${bob}/databases/books`)
    await send('PUT', users(), '<users><user name="bob.xml" password="pw3"/></users>')
    await send('PUT', bob, '<user name="bob.json"/>')
    await until('the new name', async () => namesOf(await get(users())).includes('bob.json'))
    await send('DELETE', `${users()}/bob.json`)
    await until('no bob', async () => !namesOf(await get(users())).includes('bob.json'))
  })

  it('may have names that end like a format suffix', async () => {
    const answer = await demo.call('POST', users(), '<users><user name="eve.xml" password="pw1"/></users>', SENDS)
    expect(answer.status).toBe(202)
    const eve = await until('eve', async () => {
      const response = await demo.call('GET', `${users()}/eve.xml`)
      return response.status === 200 && response
    })
    expect(eve.body).toEqual({ user: { name: 'eve.xml', host: '%', databases: [] } })
  })
})

describe('the format of the response', () => {
  const typeOf = async (path: string, headers: Record<string, string>) =>
    (await demo.call('GET', path, undefined, headers)).headers.get('content-type')

  it('follows the suffix, then Accept; JSON without either', async () => {
    for (const path of [
      '/instances',
      '/instances/detail',
      `/instances/${shop}`,
      `/instances/${shop}/users`,
      '/flavors/1',
      '/limits',
      '/datastores/postgresql',
    ]) {
      expect([path, await typeOf(`${path}.xml`, { accept: 'application/json' })]).toEqual([path, 'application/xml'])
      expect([path, await typeOf(path, { accept: '*/*' })]).toEqual([path, 'application/json'])
    }
    expect(await typeOf(`/instances/${shop}/users.json`, ASKS)).toBe('application/json')
    expect(await typeOf('/flavors', { accept: 'application/vnd.openstack.trove+xml' })).toBe('application/xml')
    expect(await typeOf('/flavors', { accept: 'image/png' })).toBe('application/json')
  })

  it('does not depend on the format of the request', async () => {
    const document = '<databases><database name="from_xml"/></databases>'
    const type = { 'content-type': 'application/vnd.openstack.trove+xml; charset=UTF-8' }
    const answer = await demo.call('POST', `/instances/${shop}/databases`, document, {
      ...type,
      accept: 'application/json',
    })
    expect([answer.status, answer.headers.get('content-type')]).toEqual([202, 'application/json'])
    const other = await demo.call('POST', `/instances/${shop}/databases`, { databases: [] }, ASKS)
    expect([other.status, other.headers.get('content-type')]).toEqual([202, 'application/xml'])
  })
})

describe('faults in XML', () => {
  const fault = (root: SaxesElement) => [root.name, root.attributes, childrenNamed(root, 'message')[0]?.text]

  it('have Trove’s envelope', async () => {
    const missing = await demo.call('GET', '/instances/none', undefined, ASKS)
    expect([missing.status, ...fault(xml(missing))]).toEqual([
      404,
      'itemNotFound',
      { code: '404' },
      expect.stringContaining('none'),
    ])
    expect(fault(await get('/nothing'))).toEqual(['itemNotFound', { code: '404' }, 'The resource could not be found.'])
    const wrong = await demo.call(
      'POST',
      '/instances',
      `<instance xmlns="${NS}" name="a"><volume size="x"/></instance>`,
      SENDS,
    )
    expect([wrong.status, ...fault(xml(wrong))]).toEqual([
      400,
      'badRequest',
      { code: '400' },
      expect.stringMatching(/^Validation error: instance\['volume'\]\['size'\] /),
    ])
  })

  it('of filters have the root element error', async () => {
    const expectError = (answer: { status: number; headers: Headers; text: string }, status: string) => {
      const { name, attributes } = xml(answer)
      expect([answer.status, name, attributes['code']]).toEqual([Number(status.slice(0, 3)), 'error', status])
    }
    const post = (body: string, headers: Record<string, string>) => demo.call('POST', '/instances', body, headers)
    expectError(await post('<instance>', SENDS), '400 Bad Request')
    expectError(await post('{', ASKS), '400 Bad Request')
    expectError(await post('a=b', { ...ASKS, 'content-type': 'text/plain' }), '415 Unsupported Media Type')
    const foreign = await demo.call('GET', `${coffer.base}/v1.0/${admin.project}/instances`, undefined, ASKS)
    expectError(foreign, '403 Forbidden')
    const large = await post(`<instance name="${'a'.repeat(1024 * 1024)}"/>`, SENDS)
    expect([large.status, xml(large).name, xml(large).attributes]).toEqual([413, 'overLimit', { code: '413' }])
    const json = await post('<instance>', { 'content-type': 'application/xml' })
    expect([json.status, json.body.code]).toEqual([400, '400 Bad Request'])
  })

  it('of the gateway have the same form', async () => {
    const answer = await request('GET', `${coffer.base}/v1.0/${demo.project}/instances`, undefined, ASKS)
    const { name, attributes, children } = xml(answer)
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
      401,
      expect.stringMatching(/^Keystone uri="http/),
    ])
    expect([name, attributes, children.map(one => one.name)]).toEqual([
      'error',
      { code: '401', title: 'Unauthorized' },
      ['message'],
    ])
    const headers = { ...SENDS, 'x-auth-token': demo.token }
    for (const body of [Buffer.from('\ufeff<instance name="a"/>', 'utf16le'), Buffer.from([0x3c, 0xff, 0x3e])]) {
      const refused = await rawRequest('POST', coffer.base, `/v1.0/${demo.project}/instances`, headers, body)
      expect([refused.status, refused.headers['content-type']]).toEqual([400, 'application/xml'])
      expect(parseWithSaxes(refused.text).attributes['code']).toBe('400 Bad Request')
    }
  })

  it('never are server errors, whatever the document is', async () => {
    const laughs = '<!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;">]><instance name="&c;"/>'
    const include = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><instance name="&x;"/>'
    const deep = `${'<a>'.repeat(10_000)}${'</a>'.repeat(10_000)}`
    const bodied = routes.filter(({ body }) => body)
    for (const { method, path } of bodied) {
      const at = path.replace('{id}', second).replace('{user}', 'ann')
      for (const document of [
        laughs,
        include,
        deep,
        '<a/>',
        '<instance/>',
        '<users/>x',
        '<object/>',
        '<users><user/></users>',
      ]) {
        const answer = await demo.call(method, at, document, SENDS)
        expect([method, path, document.slice(0, 40), answer.status < 500]).toEqual([
          method,
          path,
          document.slice(0, 40),
          true,
        ])
        if (answer.status >= 400) xml(answer)
        expect(answer.text).not.toContain('root:')
      }
    }
  })
})

// Not documents in either format: files, and a response without a body.
const BARE = ['/ca.pem', '/openapi.json', '/mgmt/instances/{id}/rpc_ping']
const documented = routes.filter(({ method, path }) => method === 'GET' && !BARE.includes(path))
const gets = documented.map(entry => [entry.path, entry] as const)

describe.each(gets)('GET %s', (_path, { path, audience }) => {
  const at = () =>
    path
      .replace('/flavors/{id}', '/flavors/1')
      .replace('{id}', shop)
      .replace('{user}', 'ann')
      .replace('{name}', 'cart')
      .replace('{datastore}', 'postgresql')
      .replace('{version}', '18')
      .replace(/\{\w+\}/g, 'none')

  it.each(['member', 'admin'])('describes the same in both formats, for a %s', async who => {
    const session = who === 'admin' ? admin : demo
    const url = audience === 'anyone' ? `${coffer.base}${path}` : at()
    // Times and figures change: compare where the JSON is the same before and after the document.
    const { json, root } = await until('two equal responses', async () => {
      const before = await session.call('GET', url)
      const answer = await session.call('GET', url, undefined, ASKS)
      const after = await session.call('GET', url)
      return before.text === after.text && answer.status === before.status && { json: before, root: xml(answer) }
    })
    expect(bodyDifferences(json.body, root)).toEqual([])
  })
})
