import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { writeXml } from '../../lib/kit/xml/write.ts'
import { type Seen, seen } from '../kit/xml/independent.ts'
import { bodyOf, exact, faultOf, readable } from './api-helpers.ts'
import { type Answer, type Coffer, createInstance, request, type Session, startCoffer, until, wipe } from './coffer.ts'
import { bodiless, type Entry, filled, named, ofAnyone, ofProject, type Things } from './route-table.ts'

jest.setTimeout(120_000)

const NS = 'http://docs.openstack.org/database/api/v1.0'
const FORMS = ['json', 'xml'] as const
type Form = (typeof FORMS)[number]

/** What Trove answers where it is not 200 to a GET and 202 to everything else. */
const ANSWERS: Record<string, number> = {
  'POST /instances': 200,
  'POST /instances/{id}/root': 200,
  'DELETE /instances/{id}/root': 204,
  'POST /instances/{id}/ssl': 200,
  'PUT /mgmt/quotas/{project}': 200,
  'GET /mgmt/instances/{id}/rpc_ping': 204,
  // A single database is shown to nobody.
  'GET /instances/{id}/databases/{name}': 501,
  // Of an operation that has ended.
  'POST /instances/{id}/operations/{operation_id}/action': 409,
}
const keyOf = ({ method, path }: Entry) => `${method} ${path}`
const answerOf = (entry: Entry) => ANSWERS[keyOf(entry)] ?? (entry.method === 'GET' ? 200 : 202)

let coffer: Coffer
let demo: Session
let alt: Session
let admin: Session
let things: Things
beforeAll(async () => {
  coffer = await startCoffer()
  demo = await coffer.login()
  alt = await coffer.login('openrc-alt')
  admin = await coffer.login('openrc-admin')
  const databases = [{ name: 'cart' }]
  const { id } = await createInstance(demo, { databases, users: [{ name: 'ann', password: 'pw1', databases }] })
  await demo.call('POST', `/instances/${id}/root`)
  const operations = await demo.call('GET', `/instances/${id}/operations`)
  things = {
    instance: id,
    project: demo.project,
    operation: operations.body.operations[0].id,
    version: await newVersion('spare'),
    datastore: 'empty',
  }
  const version = await newVersion('empty')
  expect((await admin.call('DELETE', `/mgmt/datastore-versions/${version}`)).status).toBe(202)
})
afterAll(async () => {
  await coffer?.stop()
  await wipe(coffer.dataDir)
  expect(coffer.output().match(/^.*(request failed|gateway failed).*$/gm)).toBeNull()
})

/** A datastore with one version, which no instance uses. */
async function newVersion(name: string): Promise<string> {
  const version = { name, datastore_name: name, datastore_manager: 'postgresql', image: '18', active: true }
  expect((await admin.call('POST', '/mgmt/datastore-versions', { version })).status).toBe(202)
  const { versions } = (await admin.call('GET', '/mgmt/datastore-versions')).body
  return versions.find((one: { name: string }) => one.name === name).id
}

/** Asks in a form; mutations are only checked. A session asks below its own project unless another is told. */
function ask(entry: Entry, form: Form, session?: Session, project = session?.project ?? demo.project): Promise<Answer> {
  const body = bodyOf(entry)
  const dry = entry.method === 'GET' ? '' : '?dry_run=true'
  const url = `${coffer.base}/v1.0/${project}${filled(entry, things)}${dry}`
  return request(entry.method, url, body === undefined ? undefined : written(body, form), {
    accept: `application/${form}`,
    ...(body !== undefined && { 'content-type': `application/${form}` }),
    ...(session && { 'x-auth-token': session.token }),
  })
}

function written(body: unknown, form: Form): string {
  if (form === 'json') return JSON.stringify(body)
  return writeXml(body).replace(/<users (.*)\/>/, '<users><user $1/></users>')
}

/** A fault's status, its name, and its code as the body has it. */
function told(answer: Answer, form: Form): [number, string, number] {
  if (form === 'json') {
    const { name, code } = faultOf(answer)
    return [answer.status, name, code]
  }
  const { name, attributes } = xml(answer)
  return [answer.status, name, Number(attributes['code'])]
}

function xml({ headers, text }: Answer): Seen {
  expect(headers.get('content-type')).toBe('application/xml')
  const root = seen(text)
  expect(root.uri).toBe(NS)
  return root
}

/** What a filter says before a route is found: its status and title. */
function filtered(answer: Answer, form: Form): [number, string, string] {
  const { code, title } = form === 'json' ? answer.body : xml(answer).attributes
  return [answer.status, code, title]
}

/** The names at the top of an answer's body. */
function top(answer: Answer, form: Form): string[] {
  if (answer.text === '') return []
  if (form === 'xml') return [xml(answer).name]
  expect(answer.headers.get('content-type')).toBe('application/json')
  return Object.keys(answer.body)
}

/** What no id is, as it stands in a path. */
const HOSTILE = [
  ...['%00', '%zz', "'%20OR%201=1--", '..%2f..%2fetc%2fpasswd', '-rf', '$(id)', '%0d%0aX:%20y'],
  'z'.repeat(2_000),
]

const NAMES: Record<number, string> = { 404: 'itemNotFound', 409: 'conflict', 501: 'notImplemented' }

it('has a body for each route that takes one', () => {
  expect(bodiless()).toEqual([])
})

describe.each(named(ofProject))('%s', (_name, entry) => {
  const ofAdmins = entry.audience === 'admin'
  const managing = entry.path.startsWith('/mgmt/')
  const denied = managing ? [401, 'unauthorized', 401] : [403, 'forbidden', 403]

  /** The answer is Trove's: its status, and a body in the form where there is one to be. */
  async function expectAnswer(session: Session): Promise<void> {
    const status = answerOf(entry)
    const [json, document] = await Promise.all(FORMS.map(form => ask(entry, form, session)))
    if (!json || !document) throw new Error('no answers')
    expect([json.status, document.status]).toEqual([status, status])
    if (status >= 400) {
      expect(told(json, 'json')).toEqual([status, NAMES[status], status])
      expect(told(document, 'xml')).toEqual([status, NAMES[status], status])
      return
    }
    const [name, ...more] = top(json, 'json')
    // Lists may have links, each spelt twice; everything else has one name at its top.
    for (const key of more) expect(['links', `${name}_links`]).toContain(key)
    if (status === 200 && entry.method === 'GET') expect(name).toBeDefined()
    if (status === 204) expect(json.text).toBe('')
    expect(top(document, 'xml')).toEqual(name === undefined ? [] : [name])
    const dry = entry.method === 'GET' ? null : 'true'
    expect([json.headers.get('x-dry-run'), document.headers.get('x-dry-run')]).toEqual([dry, dry])
    expect(json.headers.get('x-openstack-request-id')).toMatch(/^req-[0-9a-f-]{36}$/)
  }

  it(ofAdmins ? 'tells a member that it is for admins' : 'answers a member', async () => {
    if (!ofAdmins) return expectAnswer(demo)
    for (const form of FORMS) {
      const answer = await ask(entry, form, demo)
      expect(told(answer, form)).toEqual(denied)
      expect(answer.text).toContain(managing ? 'User does not have admin privileges.' : 'Policy does not allow')
    }
  })

  it("answers an admin, of another project's too", () => expectAnswer(admin))

  it('shows a foreign tenant nothing', async () => {
    for (const form of FORMS) {
      const foreign = await ask(entry, form, alt, demo.project)
      expect(filtered(foreign, form)).toEqual([403, '403 Forbidden', 'Forbidden'])
      const byId = await ask(entry, form, alt)
      if (ofAdmins) expect(told(byId, form)).toEqual(denied)
      else if (entry.path.startsWith('/mgmt/')) expect(told(byId, form)).toEqual([403, 'forbidden', 403])
      else if (answerOf(entry) === 501) expect(told(byId, form)).toEqual([501, 'notImplemented', 501])
      else if (entry.path.startsWith('/instances/{')) expect(told(byId, form)).toEqual([404, 'itemNotFound', 404])
      else expect(byId.status).toBe(answerOf(entry))
      expect(byId.text).not.toContain('shop')
    }
  })

  it('refuses ids that are none, whichever of its variables they stand for', async () => {
    const variables = [...entry.path.matchAll(/\{\w+\}/g)].map(([variable]) => variable)
    const send = exact(coffer, admin)
    for (const variable of variables) {
      for (const id of HOSTILE) {
        const path = filled({ ...entry, path: entry.path.replace(variable, id) }, things)
        const dry = entry.method === 'GET' ? '' : '?dry_run=true'
        const answer = await send(entry.method, `${path}${dry}`, bodyOf(entry))
        // Which projects there are, the identity service knows.
        const known = entry.path.startsWith('/mgmt/quotas/') && id === '-rf' ? [200] : []
        const fine = answerOf(entry) === 501 ? [404, 501] : [400, 403, 404, ...known]
        expect([path, answer.status, fine.includes(answer.status)]).toEqual([path, answer.status, true])
        expect(answer.status === 200 || readable(answer)).toBe(true)
        expect(answer.text).not.toMatch(/root:|uid=/)
      }
    }
  })

  it('tells who has no token where to get one', async () => {
    for (const form of FORMS) {
      const answer = await ask(entry, form)
      expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
        401,
        `Keystone uri="${coffer.base}/identity/v3"`,
      ])
      if (form === 'json') expect(answer.body.error).toMatchObject({ code: 401, title: 'Unauthorized' })
      else expect(xml(answer)).toMatchObject({ name: 'error', attributes: { code: '401', title: 'Unauthorized' } })
    }
  })
})

describe.each(named(ofAnyone))('%s', (_name, entry) => {
  it('answers anyone, with a token or without', async () => {
    for (const form of FORMS) {
      const sent = (session?: Session) =>
        request(entry.method, `${coffer.base}${entry.path}`, undefined, {
          accept: `application/${form}`,
          ...(session && { 'x-auth-token': session.token }),
        })
      for (const session of [demo, admin]) {
        const { status, text } = await sent(session)
        expect([status, text === '']).toEqual([200, false])
      }
      // The version's own page is behind the check of tokens, as Trove's is.
      expect((await sent()).status).toBe(entry.path === '/v1.0/' ? 401 : 200)
    }
  })
})

it('has done nothing by all that', async () => {
  const shown = await until('a still instance', async () => {
    const { body } = await demo.call('GET', `/instances/${things.instance}`)
    return body.instance.status === 'ACTIVE' && body.instance
  })
  expect([shown.name, shown.datastore.version, shown.operating_status]).toEqual(['shop', '18', 'HEALTHY'])
  expect((await demo.call('GET', '/instances')).body.instances).toHaveLength(1)
  const names = async (path: string, key: string) =>
    (await demo.call('GET', `/instances/${things.instance}/${path}`)).body[key].map(({ name }: Shown) => name)
  expect(await names('databases', 'databases')).toEqual(['cart'])
  expect(await names('users', 'users')).toEqual(['ann'])
  expect((await demo.call('GET', `/instances/${things.instance}/operations`)).body.operations).toHaveLength(1)
  const { versions } = (await admin.call('GET', '/mgmt/datastore-versions')).body
  expect(versions.map(({ name }: Shown) => name)).not.toContain('theirs')
  expect((await admin.call('GET', `/datastores/${things.datastore}`)).status).toBe(200)
})

interface Shown {
  name: string
}
