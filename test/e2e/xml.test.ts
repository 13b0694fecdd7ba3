import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { routes } from '../../functions/api.ts'
import { type Seen, seen } from '../kit/xml/independent.ts'
import { raw, segment } from './api-helpers.ts'
import { active, type Coffer, request, type Session, startCoffer, until, wipe } from './coffer.ts'

jest.setTimeout(60_000)

const NS = 'http://docs.openstack.org/database/api/v1.0'
const ASKS = { accept: 'application/xml' }
const SENDS = { ...ASKS, 'content-type': 'application/xml' }
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/
const SHOP = `<?xml version="1.0" encoding="UTF-8"?>
<instance xmlns="${NS}" name="shop" flavorRef="1"><volume size="1"/>
 <databases><database name="cart" character_set="utf8" collate="de_DE"/></databases>
 <users><user name="ann" password="pw1"><databases><database name="cart"/></databases></user></users></instance>`

let coffer: Coffer
let demo: Session
let admin: Session
let shop: string
let second: string
beforeAll(async () => {
  coffer = await startCoffer()
  demo = await coffer.login()
  admin = await coffer.login('openrc-admin')
  shop = await created(SHOP)
  second = await created(
    `<instance xmlns="${NS}" name="b &lt;&amp;&gt; é"><flavorRef>1</flavorRef><volume><size>1</size></volume></instance>`,
  )
  await active(demo, shop)
  await active(demo, second)
})
afterAll(async () => {
  await coffer?.stop()
  await wipe(coffer.dataDir)
  expect(coffer.output().match(/^.*(request failed|gateway failed).*$/gm)).toBeNull()
})

async function created(document: string): Promise<string> {
  const answer = await demo.call('POST', '/instances', document, SENDS)
  const root = xml(answer)
  expect([answer.status, root.name]).toEqual([200, 'instance'])
  return root.attributes['id'] ?? ''
}

/** The document of an answer that is one, in the API's namespace. */
function xml({ headers, text }: { headers: Headers; text: string }): Seen {
  expect(headers.get('content-type')).toBe('application/xml')
  expect(text.startsWith('<?xml version="1.0" encoding="UTF-8"?>\n')).toBe(true)
  const root = seen(text)
  expect(root.uri).toBe(NS)
  return root
}

const get = async (path: string, session = demo) => xml(await session.call('GET', path, undefined, ASKS))
const child = ({ children }: Seen, name: string) => children.filter(one => one.name === name)
const namesOf = ({ children }: Seen) => children.map(({ attributes }) => attributes['name'])

/** Where a document says other things than a JSON value: nowhere, if it describes the same. */
function differences(value: unknown, element: Seen, path = element.name): string[] {
  if (Array.isArray(value)) {
    if (value.length !== element.children.length) return [`${path}: ${value.length} items`]
    return value.flatMap((item, at) => differences(item, element.children[at] as Seen, `${path}[${at}]`))
  }
  if (typeof value !== 'object' || value === null) return differs(value, element.text, path)
  const keys = [...Object.keys(element.attributes), ...element.children.map(({ name }) => name)]
  const members = Object.entries(value)
  if (
    keys.toSorted().join() !==
    members
      .map(([key]) => key)
      .toSorted()
      .join()
  )
    return [`${path}: ${keys} for ${Object.keys(value)}`]
  return members.flatMap(([key, item]) => {
    const [found] = child(element, key)
    return found ? differences(item, found, `${path}.${key}`) : differs(item, element.attributes[key], `${path}.${key}`)
  })
}

function differs(value: unknown, text: string | undefined, path: string): string[] {
  const said = value === null ? 'None' : value === true ? 'True' : value === false ? 'False' : String(value)
  return said === text ? [] : [`${path}: ${text} for ${said}`]
}

/** The same of a whole answer: a page's links are a child of the list, and what has no top key has a root for it. */
function answerDiffers(body: Record<string, unknown>, root: Seen): string[] {
  const { links, ...rest } = body
  const [[key, value] = ['', undefined]] = Object.entries(rest)
  if (Array.isArray(links) && Object.keys(rest).join() === `${key},${key}_links`) {
    const rows = { ...root, children: root.children.slice(0, -1) }
    return [...differences(value, rows), ...differences(links, root.children.at(-1) as Seen)]
  }
  if (Object.keys(body).length === 1) return root.name === key ? differences(value, root) : [`the root is ${root.name}`]
  return differences(body, root)
}

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
    expect(child(root, 'volume')[0]?.attributes).toMatchObject({
      size: '1',
      used: expect.stringMatching(/^0(\.\d+)?$/),
    })
    expect(child(root, 'flavor')[0]?.attributes).toEqual({ id: '1' })
    expect(child(root, 'links')[0]?.children.map(({ name, attributes }) => [name, attributes])).toEqual([
      ['link', { href: `${coffer.base}/v1.0/${demo.project}/instances/${shop}`, rel: 'self' }],
      ['link', { href: `${coffer.base}/instances/${shop}`, rel: 'bookmark' }],
    ])
    expect((await get(`/instances/${second}`)).attributes['name']).toBe('b <&> é')
  })

  it('is listed by pages whose link is a child of the list', async () => {
    const first = await get('/instances?limit=1')
    const [one, links, ...more] = first.children
    expect([one?.name, links?.name, more]).toEqual(['instance', 'links', []])
    const next = links?.children[0]?.attributes
    expect(next?.['rel']).toBe('next')
    const last = await get(next?.['href'] ?? '')
    expect(last.children).toHaveLength(1)
    expect([one, ...last.children].map(item => item?.attributes['id']).toSorted()).toEqual([shop, second].toSorted())
  })

  it('is acted on', async () => {
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
    const bob = `${users()}/${segment('bob.xml')}`
    await send('PUT', `${bob}/databases`, '<databases><database name="books"/></databases>')
    expect(namesOf(await get(`${bob}/databases`))).toEqual(['books'])
    await send('DELETE', `${bob}/databases/books`)
    await send('PUT', users(), '<users><user name="bob.xml" password="pw3"/></users>')
    await send('PUT', bob, '<user name="bob.json"/>')
    await until('the new name', async () => namesOf(await get(users())).includes('bob.json'))
    await send('DELETE', `${users()}/bob.json`)
    await until('no bob', async () => !namesOf(await get(users())).includes('bob.json'))
  })

  it('keep names that end like a suffix', async () => {
    const made = await demo.call('POST', users(), '<users><user name="eve.xml" password="pw1"/></users>', SENDS)
    expect(made.status).toBe(202)
    const shown = await until('eve', async () => {
      const answer = await demo.call('GET', `${users()}/eve.xml`)
      return answer.status === 200 && answer
    })
    expect(shown.body).toEqual({ user: { name: 'eve.xml', host: '%', databases: [] } })
  })
})

describe('the form', () => {
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

  it('of the answer is not the request’s', async () => {
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
  const fault = (root: Seen) => [root.name, root.attributes, child(root, 'message')[0]?.text]

  it('have their envelope', async () => {
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

  it('of filters are errors', async () => {
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

  it('of the gateway too', async () => {
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
      const refused = await raw('POST', coffer.base, `/v1.0/${demo.project}/instances`, headers, body)
      expect([refused.status, refused.headers['content-type']]).toEqual([400, 'application/xml'])
      expect(seen(refused.text).attributes['code']).toBe('400 Bad Request')
    }
  })

  it('never are of the server’s making', async () => {
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

// What is no document in either form: a file, and an answer without a body.
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

  it.each(['member', 'admin'])('describes the same in both forms, for a %s', async who => {
    const session = who === 'admin' ? admin : demo
    const url = audience === 'anyone' ? `${coffer.base}${path}` : at()
    // Times and figures move: the same JSON before and after it is what the document describes.
    const { json, root } = await until('a still moment', async () => {
      const before = await session.call('GET', url)
      const answer = await session.call('GET', url, undefined, ASKS)
      const after = await session.call('GET', url)
      return before.text === after.text && answer.status === before.status && { json: before, root: xml(answer) }
    })
    expect(answerDiffers(json.body, root)).toEqual([])
  })
})
