import { beforeAll, describe, expect, it } from '@jest/globals'
import { bodyOf, exactCaller, isReadableFault, query } from './api-helpers.ts'
import { FORMATS, type Format, faultSummary, filterError, serialize, topLevelNames, xmlRoot } from './both-formats.ts'
import { CART, ownCloud } from './cloud.ts'
import { type Answer, createInstance, request, type Session } from './coffer.ts'
import { missingRoutes, servedAlthoughExcused } from './reference-routes.ts'
import {
  type Entry,
  fillPath,
  type PathValues,
  projectRoutes,
  publicRoutes,
  routesWithoutBody,
  withNames,
} from './route-table.ts'
import { namedVariants, untriedKeys } from './sample-bodies.ts'

/** Trove's status where it is not 200 for a GET and 202 for everything else. */
const ANSWERS: Record<string, number> = {
  'POST /instances': 200,
  'POST /instances/{id}/root': 200,
  'DELETE /instances/{id}/root': 204,
  'POST /instances/{id}/ssl': 200,
  'PUT /mgmt/quotas/{project}': 200,
  'GET /mgmt/instances/{id}/rpc_ping': 204,
  // A single database is shown to nobody.
  'GET /instances/{id}/databases/{name}': 501,
  // The host has instances.
  'DELETE /mgmt/hosts/{host}': 409,
  // The operation has ended.
  'POST /instances/{id}/operations/{operation_id}/action': 409,
}
const keyOf = ({ method, path }: Entry) => `${method} ${path}`
const answerOf = (entry: Entry) => ANSWERS[keyOf(entry)] ?? (entry.method === 'GET' ? 200 : 202)

const { coffer, demo, alt, admin } = ownCloud(['--spares', '0'])
let things: PathValues
/** The state before all these requests. */
let before: Awaited<ReturnType<typeof state>>
beforeAll(async () => {
  const { id } = await createInstance(demo, { ...CART, datastore: { type: 'postgresql', version: '18.3' } })
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
/** A datastore with one version, which no instance uses. */
async function newVersion(name: string): Promise<string> {
  const version = { name, datastore_name: name, datastore_manager: 'postgresql', image: '18', active: true }
  expect((await admin.call('POST', '/mgmt/datastore-versions', { version })).status).toBe(202)
  const { versions } = (await admin.call('GET', '/mgmt/datastore-versions')).body
  return versions.find((one: { name: string }) => one.name === name).id
}

interface Asking {
  session?: Session | undefined
  /** The project in the path; default: the session's. */
  project?: string
  body?: unknown
}

/** Sends a request in a format; mutations are dry runs. A body that is text is sent as it is. */
function ask(entry: Entry, form: Format, { session, body = bodyOf(entry), ...path }: Asking = {}): Promise<Answer> {
  const { project = session?.project ?? demo.project } = path
  const dry = entry.method === 'GET' ? '' : '?dry_run=true'
  const url = `${coffer.base}/v1.0/${project}${fillPath(entry, things)}${dry}`
  return request(entry.method, url, body === undefined ? undefined : serialize(body, form), {
    accept: `application/${form}`,
    ...(body !== undefined && { 'content-type': `application/${form}` }),
    ...(session && { 'x-auth-token': session.token }),
  })
}

/** Impossible ids, as they stand in a path. */
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

it('has every route of the reference for the same audience, or a reason for its absence', () => {
  expect([missingRoutes(), servedAlthoughExcused()]).toEqual([[], []])
})

it('has a body for each route that takes one', () => {
  expect(routesWithoutBody()).toEqual([])
})

it('tries each action, and each key that a PUT or PATCH takes', () => {
  expect(untriedKeys()).toEqual([])
})

describe.each(withNames(projectRoutes))('%s', (_name, entry) => {
  const ofAdmins = entry.audience === 'admin'
  const managing = entry.path.startsWith('/mgmt/')
  const denied = managing ? [401, 'unauthorized', 401] : [403, 'forbidden', 403]

  /** Expects Trove's status, and the same body in both formats. */
  async function expectAnswer(session: Session): Promise<void> {
    const status = answerOf(entry)
    const [json, document] = await Promise.all(FORMATS.map(form => ask(entry, form, { session })))
    if (!json || !document) throw new Error('no answers')
    expect([json.status, document.status]).toEqual([status, status])
    if (status >= 400) {
      expect(faultSummary(json, 'json')).toEqual([status, NAMES[status], status])
      expect(faultSummary(document, 'xml')).toEqual([status, NAMES[status], status])
      return
    }
    const [name, ...linkNames] = topLevelNames(json, 'json')
    // Lists may have links under two keys; every other body has one top-level key.
    for (const key of linkNames) expect(['links', `${name}_links`]).toContain(key)
    if (status === 200 && entry.method === 'GET') expect(name).toBeDefined()
    if (status === 204) expect(json.text).toBe('')
    expect(topLevelNames(document, 'xml')).toEqual(name === undefined ? [] : [name])
    const dry = entry.method === 'GET' ? null : 'true'
    expect([json.headers.get('x-dry-run'), document.headers.get('x-dry-run')]).toEqual([dry, dry])
    expect(json.headers.get('x-openstack-request-id')).toMatch(/^req-[0-9a-f-]{36}$/)
  }

  it(ofAdmins ? 'refuses a member, because it is for admins' : 'serves a member', async () => {
    if (!ofAdmins) return expectAnswer(demo)
    for (const form of FORMATS) {
      const answer = await ask(entry, form, { session: demo })
      expect(faultSummary(answer, form)).toEqual(denied)
      expect(answer.text).toContain(managing ? 'User does not have admin privileges.' : 'Policy does not allow')
    }
  })

  it('serves an admin, for another project’s instance too', () => expectAnswer(admin))

  it('shows a foreign tenant nothing', async () => {
    for (const form of FORMATS) {
      const foreign = await ask(entry, form, { session: alt, project: demo.project })
      expect(filterError(foreign, form)).toEqual([403, '403 Forbidden', 'Forbidden'])
      const byId = await ask(entry, form, { session: alt })
      if (ofAdmins) expect(faultSummary(byId, form)).toEqual(denied)
      else if (entry.path.startsWith('/mgmt/')) expect(faultSummary(byId, form)).toEqual([403, 'forbidden', 403])
      else if (answerOf(entry) === 501) expect(faultSummary(byId, form)).toEqual([501, 'notImplemented', 501])
      else if (entry.path.startsWith('/instances/{'))
        expect(faultSummary(byId, form)).toEqual([404, 'itemNotFound', 404])
      else expect(byId.status).toBe(answerOf(entry))
      expect(byId.text).not.toContain('shop')
    }
  })

  it('refuses impossible ids in each variable of its path', async () => {
    const variables = [...entry.path.matchAll(/\{\w+\}/g)].map(([variable]) => variable)
    const send = exactCaller(coffer, admin)
    for (const variable of variables) {
      for (const id of HOSTILE) {
        const path = fillPath({ ...entry, path: entry.path.replace(variable, id) }, things)
        const dry = entry.method === 'GET' ? '' : '?dry_run=true'
        const answer = await send(entry.method, `${path}${dry}`, bodyOf(entry))
        // `-rf` could be a project: only the identity service knows which exist.
        const accepted = entry.path.startsWith('/mgmt/quotas/') && id === '-rf' ? [200] : []
        const fine = answerOf(entry) === 501 ? [404, 501] : [400, 403, 404, ...accepted]
        expect([path, answer.status, fine.includes(answer.status)]).toEqual([path, answer.status, true])
        expect(answer.status === 200 || isReadableFault(answer)).toBe(true)
        expect(answer.text).not.toMatch(/root:|uid=/)
      }
    }
  })

  it('refuses a request without a token, and says where to get one', async () => {
    for (const form of FORMATS) {
      const answer = await ask(entry, form)
      expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
        401,
        `Keystone uri="${coffer.base}/identity/v3"`,
      ])
      if (form === 'json') expect(answer.body.error).toMatchObject({ code: 401, title: 'Unauthorized' })
      else expect(xmlRoot(answer)).toMatchObject({ name: 'error', attributes: { code: '401', title: 'Unauthorized' } })
    }
  })
})

describe.each(withNames(publicRoutes))('%s', (_name, entry) => {
  it('serves anyone, with a token or without', async () => {
    for (const form of FORMATS) {
      const send = (session?: Session) =>
        request(entry.method, `${coffer.base}${entry.path}`, undefined, {
          accept: `application/${form}`,
          ...(session && { 'x-auth-token': session.token }),
        })
      for (const session of [demo, admin]) {
        const { status, text } = await send(session)
        expect([status, text === '']).toEqual([200, false])
      }
      // As in Trove, the page of the version needs a token.
      expect((await send()).status).toBe(entry.path === '/v1.0/' ? 401 : 200)
    }
  })
})

describe.each(namedVariants)('%s', (_name, entry, { body, document, status, member = status, anyone }) => {
  const ofAdmins = entry.audience === 'admin'
  const bodies = { json: body, xml: document ?? body }

  it.each(FORMATS)('is checked by a dry run as by the request itself, in %s', async form => {
    const expectStatus = async (session: Session, expected: number, name = NAMES[expected]) => {
      const answer = await ask(entry, form, { session, body: bodies[form] })
      expect([answer.status, answer.headers.get('x-dry-run')]).toEqual([expected, 'true'])
      if (expected >= 400) expect(faultSummary(answer, form)).toEqual([expected, name, expected])
      else
        expect(topLevelNames(answer, form)).toEqual(
          expected === 202 ? [] : [entry.path.includes('quotas') ? 'quotas' : 'ssl'],
        )
    }
    await expectStatus(admin, status)
    if (ofAdmins) return expectStatus(demo, 401, 'unauthorized')
    await expectStatus(demo, member)
    await expectStatus(alt, anyone ? status : 404)
  })
})

/** Everything that these requests could change, without the figures that change by themselves. */
async function state() {
  const at = `/instances/${things.instance}`
  const read = async (session: Session, path: string) => (await session.call('GET', path)).body
  const { instance } = await read(admin, `/mgmt${at}`)
  const {
    service_status_updated: _,
    volume: { used: __, ...volume },
    ...instanceFields
  } = instance
  const server = 'SELECT pg_postmaster_start_time()::text AS started, version()'
  return {
    instance: { ...instanceFields, volume },
    instances: (await read(demo, '/instances')).instances.length,
    operations: await read(demo, `${at}/operations`),
    databases: await read(demo, `${at}/databases`),
    users: await read(demo, `${at}/users`),
    root: [await read(demo, `${at}/root`), await read(admin, `/mgmt${at}/root`)],
    ssl: await read(demo, `${at}/ssl`),
    quotas: await read(demo, `/mgmt/quotas/${demo.project}`),
    datastores: await read(admin, '/datastores'),
    versions: await read(admin, '/mgmt/datastore-versions'),
    // The passwords still work, and the server was not restarted.
    ann: await query(instance, { user: 'ann', password: 'pw1', database: 'cart' }, server),
    postgres: await query(instance, { user: 'root', password: 'root1', database: 'cart' }, server),
  }
}

it('has changed nothing with all these requests', async () => {
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
