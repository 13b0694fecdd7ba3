import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { bodyOf, exact, query, readable } from './api-helpers.ts'
import { type Answer, type Coffer, createInstance, request, type Session, startCoffer, wipe } from './coffer.ts'
import { FORMS, type Form, filtered, told, top, written, xml } from './forms.ts'
import { excused, missing } from './reference-routes.ts'
import { bodiless, type Entry, filled, named, ofAnyone, ofProject, type Things } from './route-table.ts'
import { namedVariants, untried } from './variants.ts'

jest.setTimeout(120_000)

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
/** What stood before all that was asked here. */
let before: Awaited<ReturnType<typeof state>>
beforeAll(async () => {
  coffer = await startCoffer()
  demo = await coffer.login()
  alt = await coffer.login('openrc-alt')
  admin = await coffer.login('openrc-admin')
  const databases = [{ name: 'cart' }]
  const { id } = await createInstance(demo, {
    datastore: { type: 'postgresql', version: '18.3' },
    databases,
    users: [{ name: 'ann', password: 'pw1', databases }],
  })
  expect((await demo.call('POST', `/instances/${id}/root`, { password: 'root1' })).status).toBe(200)
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
  before = await state()
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

interface Asking {
  session?: Session | undefined
  /** The path's; the session's own unless told. */
  project?: string
  body?: unknown
}

/** Asks in a form; mutations are only checked. A body that is text is sent as it is. */
function ask(entry: Entry, form: Form, { session, body = bodyOf(entry), ...more }: Asking = {}): Promise<Answer> {
  const { project = session?.project ?? demo.project } = more
  const dry = entry.method === 'GET' ? '' : '?dry_run=true'
  const url = `${coffer.base}/v1.0/${project}${filled(entry, things)}${dry}`
  return request(entry.method, url, body === undefined ? undefined : written(body, form), {
    accept: `application/${form}`,
    ...(body !== undefined && { 'content-type': `application/${form}` }),
    ...(session && { 'x-auth-token': session.token }),
  })
}

/** What no id is, as it stands in a path. */
const HOSTILE = [
  ...['%00', '%zz', "'%20OR%201=1--", '..%2f..%2fetc%2fpasswd', '-rf', '$(id)', '%0d%0aX:%20y'],
  'z'.repeat(2_000),
]

const NAMES: Record<number, string> = {
  400: 'badRequest',
  403: 'forbidden',
  404: 'itemNotFound',
  409: 'conflict',
  413: 'overLimit',
  501: 'notImplemented',
}

it('has every route of the reference, for whom it is there; what it has not, has a reason', () => {
  expect([missing(), excused()]).toEqual([[], []])
})

it('has a body for each route that takes one', () => {
  expect(bodiless()).toEqual([])
})

it('tries each action, and each key that a PUT or PATCH takes', () => {
  expect(untried()).toEqual([])
})

describe.each(named(ofProject))('%s', (_name, entry) => {
  const ofAdmins = entry.audience === 'admin'
  const managing = entry.path.startsWith('/mgmt/')
  const denied = managing ? [401, 'unauthorized', 401] : [403, 'forbidden', 403]

  /** The answer is Trove's: its status, and a body in the form where there is one to be. */
  async function expectAnswer(session: Session): Promise<void> {
    const status = answerOf(entry)
    const [json, document] = await Promise.all(FORMS.map(form => ask(entry, form, { session })))
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
      const answer = await ask(entry, form, { session: demo })
      expect(told(answer, form)).toEqual(denied)
      expect(answer.text).toContain(managing ? 'User does not have admin privileges.' : 'Policy does not allow')
    }
  })

  it("answers an admin, of another project's too", () => expectAnswer(admin))

  it('shows a foreign tenant nothing', async () => {
    for (const form of FORMS) {
      const foreign = await ask(entry, form, { session: alt, project: demo.project })
      expect(filtered(foreign, form)).toEqual([403, '403 Forbidden', 'Forbidden'])
      const byId = await ask(entry, form, { session: alt })
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

describe.each(namedVariants)('%s', (_name, entry, { body, document, status, member = status, anyone }) => {
  const ofAdmins = entry.audience === 'admin'
  const bodies = { json: body, xml: document ?? body }

  it.each(FORMS)('is checked as it would be done, in %s', async form => {
    const asked = async (session: Session, expected: number, name = NAMES[expected]) => {
      const answer = await ask(entry, form, { session, body: bodies[form] })
      expect([answer.status, answer.headers.get('x-dry-run')]).toEqual([expected, 'true'])
      if (expected >= 400) expect(told(answer, form)).toEqual([expected, name, expected])
      else expect(top(answer, form)).toEqual(expected === 202 ? [] : [entry.path.includes('quotas') ? 'quotas' : 'ssl'])
    }
    await asked(admin, status)
    if (ofAdmins) return asked(demo, 401, 'unauthorized')
    await asked(demo, member)
    await asked(alt, anyone ? status : 404)
  })
})

/** All that what is asked here could change, as it is shown; without what changes by itself. */
async function state() {
  const at = `/instances/${things.instance}`
  const shown = async (session: Session, path: string) => (await session.call('GET', path)).body
  const { instance } = await shown(admin, `/mgmt${at}`)
  const {
    service_status_updated: _,
    volume: { used: __, ...volume },
    ...kept
  } = instance
  const server = 'SELECT pg_postmaster_start_time()::text AS started, version()'
  return {
    instance: { ...kept, volume },
    instances: (await shown(demo, '/instances')).instances.length,
    operations: await shown(demo, `${at}/operations`),
    databases: await shown(demo, `${at}/databases`),
    users: await shown(demo, `${at}/users`),
    root: [await shown(demo, `${at}/root`), await shown(admin, `/mgmt${at}/root`)],
    ssl: await shown(demo, `${at}/ssl`),
    quotas: await shown(demo, `/mgmt/quotas/${demo.project}`),
    datastores: await shown(admin, '/datastores'),
    versions: await shown(admin, '/mgmt/datastore-versions'),
    // The passwords are those of before, and the server has not been stopped.
    ann: await query(instance, { user: 'ann', password: 'pw1', database: 'cart' }, server),
    postgres: await query(instance, { user: 'postgres', password: 'root1', database: 'cart' }, server),
  }
}

it('has done nothing by all that', async () => {
  expect(before).toMatchObject({
    instance: { name: 'shop', status: 'ACTIVE', operating_status: 'HEALTHY', datastore: { version: '18.3' } },
    instances: 1,
    operations: { operations: [{ name: 'create_instance' }] },
    databases: { databases: [{ name: 'cart' }] },
    users: { users: [{ name: 'ann' }] },
    root: [{ rootEnabled: true }, { root_history: { enabled: before.instance.root_enabled } }],
    ssl: { ssl: { status: 'on', mode: 'basic' } },
    quotas: { quotas: [{ in_use: 1, limit: 10 }, { in_use: 512, limit: -1 }, { in_use: 1, limit: 40 }, { in_use: 0 }] },
  })
  expect(await state()).toEqual(before)
})
