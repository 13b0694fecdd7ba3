import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from '@jest/globals'
import { faultOf, query, waitForUser } from './api-helpers.ts'
import { ANN, CART, sharedCloud } from './cloud.ts'
import { type Answer, createInstance, deleteInstance, until, waitUntilActive } from './coffer.ts'
import { withHostPaused } from './fault-injection.ts'

const { coffer, demo, alt, admin } = sharedCloud()

const body = (name: string, properties: object = {}) => ({
  instance: { name, flavorRef: 1, volume: { size: 1 }, ...properties },
})
const create = (name: string, headers: Record<string, string> = {}) =>
  demo.call('POST', '/instances', body(name), headers)

interface StoredRecord {
  id: string
  project: string
  body: Record<string, unknown>
}

/** The records of a kind that belong to the projects of this file, read from the file of the store. */
function storedRecords(kind: string): StoredRecord[] {
  const store = new DatabaseSync(join(coffer.dataDir, 'coffer.db'), { readOnly: true })
  const rows = store.prepare("SELECT project, id, body FROM records WHERE id LIKE ? || '#%'").all(kind)
  store.close()
  return rows
    .map(row => ({ id: String(row['id']), project: String(row['project']), body: JSON.parse(String(row['body'])) }))
    .filter(row => [demo.project, alt.project].some(project => row.project === project || row.body.project === project))
}
const usedQuota = () =>
  Object.fromEntries(
    storedRecords('quota')
      .filter(({ project }) => project === demo.project)
      .map(({ id, body: { used } }) => [id.replace('quota#', ''), used]),
  )

async function latestOperation(id: string): Promise<Answer['body']> {
  return (await demo.call('GET', `/instances/${id}/operations`)).body.operations[0]
}
const actOnOperation = (id: string, operation: string, action: unknown, session = demo) =>
  session.call('POST', `/instances/${id}/operations/${operation}/action`, action)

describe('an operation', () => {
  it('is cancelled while it creates: the instance is in ERROR with the reason, its quota is returned, a retry creates it', async () => {
    const { id, before } = await withHostPaused(coffer, async () => {
      const { id } = (await create('shop')).body.instance
      const before = await latestOperation(id)
      expect(before).toMatchObject({ name: 'create_instance', status: 'RUNNING', failed_step: null })
      const cancelled = await actOnOperation(id, before.id, { cancel: {} })
      expect([cancelled.status, cancelled.text]).toEqual([202, ''])
      return { id, before }
    })
    const failed = await until('ERROR', async () => {
      const { body: response } = await demo.call('GET', `/instances/${id}`)
      return response.instance.status === 'ERROR' && response.instance
    })
    expect(failed.fault.message).toBe('The operation was cancelled.')
    expect(usedQuota()).toEqual({ instances: 1, ram: 0, volumes: 0 })
    const { body: response } = await demo.call('GET', `/instances/${id}/operations/${before.id}`)
    expect(response.operation).toMatchObject({ id: before.id, status: 'CANCELLED', step: null, deadline: null })
    expect(response.operation.failed_step).toEqual(expect.any(String))
    expect(faultOf(await actOnOperation(id, before.id, { cancel: {} }))).toMatchObject({ name: 'conflict', code: 409 })
    expect((await actOnOperation(id, before.id, { retry: {} })).status).toBe(202)
    await waitUntilActive(demo, id)
    expect(usedQuota()).toEqual({ instances: 1, ram: 512, volumes: 1 })
    expect((await demo.call('POST', `/instances/${id}/databases`, { databases: [{ name: 'cart' }] })).status).toBe(202)
    await deleteInstance(demo, id)
    expect(usedQuota()).toEqual({ instances: 0, ram: 0, volumes: 0 })
  })

  it('obeys its own project only, by its id, with exactly one action', async () => {
    const { id } = await createInstance(demo)
    const { id: operation, percent, status } = await latestOperation(id)
    expect([percent, status]).toEqual([100, 'DONE'])
    const path = `/instances/${id}/operations`
    for (const session of [demo, alt]) {
      const other = session === demo ? '00000000-0000-4000-8000-000000000000' : operation
      expect((await session.call('GET', `${path}/${other}`)).status).toBe(404)
      expect((await actOnOperation(id, other, { cancel: {} }, session)).status).toBe(404)
      expect((await actOnOperation(id, other, { retry: {} }, session)).status).toBe(404)
    }
    for (const bad of [{}, { cancel: {}, retry: {} }, { pause: {} }, { cancel: { now: true } }, { cancel: null }, []]) {
      expect((await actOnOperation(id, operation, bad)).status).toBe(400)
    }
    expect((await actOnOperation(id, operation, { retry: {} })).status).toBe(409)
    await deleteInstance(demo, id)
  })
})

describe('an Idempotency-Key', () => {
  it('creates one instance for two requests, with the same response', async () => {
    const key = { 'idempotency-key': 'order 17' }
    const first = await create('once', key)
    const again = await create('once', key)
    expect([again.status, again.text]).toEqual([first.status, first.text])
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect((await demo.call('GET', '/instances')).body.instances).toHaveLength(1)
    expect(faultOf(await create('other', key))).toMatchObject({ name: 'unprocessableEntity', code: 422 })
    await waitUntilActive(demo, first.body.instance.id)
    await deleteInstance(demo, first.body.instance.id)
    // The operation ended long ago; the response is still the first one.
    expect((await create('once', key)).text).toBe(first.text)
    expect((await demo.call('GET', '/instances')).body.instances).toEqual([])
  })
})

describe('a dry run', () => {
  it('of create, delete and users changes nothing', async () => {
    const created = await createInstance(demo, CART)
    const path = `/instances/${created.id}`
    const kinds = ['saga', 'command', 'quota', 'audit', 'idempotency', 'id']
    const before = kinds.map(storedRecords)
    const requests: [string, string, unknown, number][] = [
      ['POST', '/instances', body('dry'), 200],
      ['DELETE', path, undefined, 202],
      ['POST', `${path}/users`, { users: [{ name: 'bob', password: 'pw2' }] }, 202],
      ['PUT', `${path}/users`, { users: [{ name: 'ann', password: 'changed' }] }, 202],
      ['PUT', `${path}/users/ann/databases`, { databases: [{ name: 'cart' }] }, 202],
      ['DELETE', `${path}/users/ann`, undefined, 202],
      ['POST', `${path}/databases`, { databases: [{ name: 'more' }] }, 202],
      ['DELETE', `${path}/databases/cart`, undefined, 202],
      ['POST', `${path}/ssl`, { ssl: { enable: true, mode: 'enforced' } }, 200],
      ['POST', `${path}/ssl`, { ssl: { disable: true } }, 200],
      ['POST', `${path}/ssl`, { ssl: { rollback: true } }, 200],
    ]
    for (const [method, url, content, status] of requests) {
      const answer = await demo.call(method, `${url}?dry_run=true`, content, { 'idempotency-key': 'dry' })
      expect([method, url, answer.status]).toEqual([method, url, status])
      expect(answer.headers.get('x-dry-run')).toBe('true')
      const id = answer.body?.instance?.id
      if (id) expect((await demo.call('GET', `/instances/${id}`)).status).toBe(404)
    }
    // A dry run is refused like the request itself.
    const refused = await demo.call('DELETE', `${path}/users/nobody?dry_run=true`)
    expect([refused.status, refused.headers.get('x-dry-run')]).toEqual([404, 'true'])
    expect((await demo.call('POST', '/instances?dry_run=perhaps', body('dry'))).status).toBe(400)
    const audit = (rows: StoredRecord[]) => rows.filter(({ body: { status } }) => status !== 400)
    expect(kinds.map(storedRecords).map(audit)).toEqual(before.map(audit))
    await waitForUser(demo, `${path}/users`, 'ann', 200)
    await waitForUser(demo, `${path}/users`, 'bob', 404)
    expect(await query(created, ANN, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    await deleteInstance(demo, created.id)
  })
})

describe('the audit', () => {
  it('shows a project what was done in it, and an admin everything', async () => {
    const created = await demo.call('POST', '/instances', body('seen'), {
      'x-openstack-request-id': 'req-11111111-2222-4333-8444-555555555555',
    })
    const { id } = created.body.instance
    const requestId = created.headers.get('x-openstack-request-id')
    expect(requestId).not.toContain('11111111')
    await waitUntilActive(demo, id)
    await deleteInstance(demo, id)
    expect((await alt.call('POST', '/instances', {})).status).toBe(400)
    const { body: response } = await demo.call('GET', `/audit?instance_id=${id}`)
    expect(response.audit.map((row: Answer['body']) => [row.method, row.route, row.status, row.instance_id])).toEqual([
      ['DELETE', '/instances/{id}', 202, id],
      ['POST', '/instances', 200, id],
    ])
    expect(response.audit[1]).toMatchObject({
      request_id: requestId,
      remote_address: '127.0.0.1',
      project_id: demo.project,
    })
    expect(JSON.stringify((await alt.call('GET', '/audit')).body)).not.toContain(demo.project)
    // The pages together have the same rows, newest first.
    const ids: string[] = []
    for (let next: string | undefined = '/audit?limit=3'; next !== undefined; ) {
      const { body: page } = await demo.call('GET', next)
      ids.push(...page.audit.map((row: Answer['body']) => row.id))
      next = page.links?.[0].href
    }
    expect(ids).toEqual(ids.toSorted())
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).toHaveLength(storedRecords('audit').filter(({ body }) => body['project'] === demo.project).length)
    expect((await demo.call('GET', '/mgmt/audit')).status).toBe(401)
    const all: Answer['body'][] = []
    for (let next: string | undefined = '/mgmt/audit?limit=20'; next !== undefined; ) {
      const { body: page } = await admin.call('GET', next)
      // The rows of other test files are not counted here.
      all.push(
        ...page.audit.filter((row: Answer['body']) => [demo, alt].some(({ project }) => project === row.project_id)),
      )
      next = page.links?.[0].href
    }
    expect(all).toHaveLength(storedRecords('audit').length)
    expect(new Set(all.map(({ project_id }) => project_id))).toEqual(new Set([demo.project, alt.project]))
    expect(coffer.output()).toContain('"globalRequestId":"req-11111111-2222-4333-8444-555555555555"')
  })
})
