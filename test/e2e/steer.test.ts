import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { faultOf, query, userIs } from './api-helpers.ts'
import {
  type Answer,
  active,
  type Coffer,
  createInstance,
  deleteInstance,
  type Session,
  startCoffer,
  until,
  wipe,
} from './coffer.ts'

jest.setTimeout(180_000)

let coffer: Coffer
let demo: Session
let alt: Session
let admin: Session
beforeAll(async () => {
  coffer = await startCoffer()
  await logins()
})
afterAll(async () => {
  await coffer?.stop()
  await wipe(coffer.dataDir)
})

async function logins(): Promise<void> {
  demo = await coffer.login()
  alt = await coffer.login('openrc-alt')
  admin = await coffer.login('openrc-admin')
}

const body = (name: string, more: object = {}) => ({
  instance: { name, flavorRef: 1, volume: { size: 1 }, ...more },
})
const create = (name: string, headers: Record<string, string> = {}) =>
  demo.call('POST', '/instances', body(name), headers)

/** What the store has of a kind, read behind the back of the control plane. */
function stored(kind: string): { id: string; body: Record<string, unknown> }[] {
  const store = new DatabaseSync(join(coffer.dataDir, 'coffer.db'), { readOnly: true })
  const rows = store.prepare("SELECT id, body FROM records WHERE id LIKE ? || '#%'").all(kind)
  store.close()
  return rows.map(row => ({ id: String(row['id']), body: JSON.parse(String(row['body'])) }))
}
const quota = () => Object.fromEntries(stored('quota').map(({ id, body: { used } }) => [id.slice(6), used]))

async function operationOf(id: string): Promise<Answer['body']> {
  return (await demo.call('GET', `/instances/${id}/operations`)).body.operations[0]
}
const steer = (id: string, operation: string, action: unknown, who = demo) =>
  who.call('POST', `/instances/${id}/operations/${operation}/action`, action)

describe('an operation', () => {
  it('that creates is cancelled: its instance is in ERROR with the reason, its quota back; a retry begins it again', async () => {
    const { id } = (await create('shop')).body.instance
    const before = await operationOf(id)
    expect(before).toMatchObject({ name: 'create_instance', status: 'RUNNING', failed_step: null })
    const cancelled = await steer(id, before.id, { cancel: {} })
    expect([cancelled.status, cancelled.text]).toEqual([202, ''])
    const left = await until('ERROR', async () => {
      const { body: shown } = await demo.call('GET', `/instances/${id}`)
      return shown.instance.status === 'ERROR' && shown.instance
    })
    expect(left.fault.message).toBe('The operation was cancelled.')
    expect(quota()).toEqual({ instances: 1, ram: 0, volumes: 0 })
    const { body: shown } = await demo.call('GET', `/instances/${id}/operations/${before.id}`)
    expect(shown.operation).toMatchObject({ id: before.id, status: 'CANCELLED', step: null, deadline: null })
    expect(shown.operation.failed_step).toEqual(expect.any(String))
    expect(faultOf(await steer(id, before.id, { cancel: {} }))).toMatchObject({ name: 'conflict', code: 409 })
    expect((await steer(id, before.id, { retry: {} })).status).toBe(202)
    await active(demo, id)
    expect(quota()).toEqual({ instances: 1, ram: 512, volumes: 1 })
    expect((await demo.call('POST', `/instances/${id}/databases`, { databases: [{ name: 'cart' }] })).status).toBe(202)
    await deleteInstance(demo, id)
    expect(quota()).toEqual({ instances: 0, ram: 0, volumes: 0 })
  })

  it('is steered by its own project only, by its id, with one action', async () => {
    const { id } = await createInstance(demo)
    const { id: operation, percent, status } = await operationOf(id)
    expect([percent, status]).toEqual([100, 'DONE'])
    const path = `/instances/${id}/operations`
    for (const who of [demo, alt]) {
      const other = who === demo ? '00000000-0000-4000-8000-000000000000' : operation
      expect((await who.call('GET', `${path}/${other}`)).status).toBe(404)
      expect((await steer(id, other, { cancel: {} }, who)).status).toBe(404)
      expect((await steer(id, other, { retry: {} }, who)).status).toBe(404)
    }
    for (const bad of [{}, { cancel: {}, retry: {} }, { pause: {} }, { cancel: { now: true } }, { cancel: null }, []]) {
      expect((await steer(id, operation, bad)).status).toBe(400)
    }
    expect((await steer(id, operation, { retry: {} })).status).toBe(409)
    await deleteInstance(demo, id)
  })
})

describe('an Idempotency-Key', () => {
  it('creates one instance for two requests, and answers the same', async () => {
    const key = { 'idempotency-key': 'order 17' }
    const first = await create('once', key)
    const again = await create('once', key)
    expect([again.status, again.text]).toEqual([first.status, first.text])
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect((await demo.call('GET', '/instances')).body.instances).toHaveLength(1)
    expect(faultOf(await create('other', key))).toMatchObject({ name: 'unprocessableEntity', code: 422 })
    await active(demo, first.body.instance.id)
    await deleteInstance(demo, first.body.instance.id)
    // Long done, and still the first answer.
    expect((await create('once', key)).text).toBe(first.text)
    expect((await demo.call('GET', '/instances')).body.instances).toEqual([])
  })

  it.each([0, 2, 5, 10, 20])('creates one instance though the process is killed %i ms after it was asked', async ms => {
    const key = { 'idempotency-key': `kill ${ms}` }
    const lost = create('once', key).catch(() => undefined)
    await new Promise(resolve => setTimeout(resolve, ms))
    await coffer.kill()
    const first = await lost
    coffer = await startCoffer(coffer.dataDir)
    await logins()
    const again = await create('once', key)
    expect(again.status).toBe(200)
    if (first) expect(again.text).toBe(first.text)
    expect((await demo.call('GET', '/instances')).body.instances).toHaveLength(1)
    await active(demo, again.body.instance.id)
    await deleteInstance(demo, again.body.instance.id)
  })
})

describe('a dry run', () => {
  it('of create, delete and users changes nothing', async () => {
    const users = [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }]
    const made = await createInstance(demo, { databases: [{ name: 'cart' }], users })
    const at = `/instances/${made.id}`
    const kinds = ['saga', 'command', 'quota', 'audit', 'idempotency', 'id']
    const before = kinds.map(stored)
    const tried: [string, string, unknown, number][] = [
      ['POST', '/instances', body('dry'), 200],
      ['DELETE', at, undefined, 202],
      ['POST', `${at}/users`, { users: [{ name: 'bob', password: 'pw2' }] }, 202],
      ['PUT', `${at}/users`, { users: [{ name: 'ann', password: 'changed' }] }, 202],
      ['PUT', `${at}/users/ann/databases`, { databases: [{ name: 'cart' }] }, 202],
      ['DELETE', `${at}/users/ann`, undefined, 202],
      ['POST', `${at}/databases`, { databases: [{ name: 'more' }] }, 202],
      ['DELETE', `${at}/databases/cart`, undefined, 202],
      ['POST', `${at}/ssl`, { ssl: { enable: true, mode: 'enforced' } }, 200],
      ['POST', `${at}/ssl`, { ssl: { disable: true } }, 200],
      ['POST', `${at}/ssl`, { ssl: { rollback: true } }, 200],
    ]
    for (const [method, path, told, status] of tried) {
      const answer = await demo.call(method, `${path}?dry_run=true`, told, { 'idempotency-key': 'dry' })
      expect([method, path, answer.status]).toEqual([method, path, status])
      expect(answer.headers.get('x-dry-run')).toBe('true')
      const id = answer.body?.instance?.id
      if (id) expect((await demo.call('GET', `/instances/${id}`)).status).toBe(404)
    }
    // What would be refused is.
    const refused = await demo.call('DELETE', `${at}/users/nobody?dry_run=true`)
    expect([refused.status, refused.headers.get('x-dry-run')]).toEqual([404, 'true'])
    expect((await demo.call('POST', '/instances?dry_run=perhaps', body('dry'))).status).toBe(400)
    const audit = (rows: { body: Record<string, unknown> }[]) => rows.filter(({ body: { status } }) => status !== 400)
    expect(kinds.map(stored).map(audit)).toEqual(before.map(audit))
    await userIs(demo, `${at}/users`, 'ann', 200)
    await userIs(demo, `${at}/users`, 'bob', 404)
    const login = { user: 'ann', password: 'pw1', database: 'cart' }
    expect(await query(made, login, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    await deleteInstance(demo, made.id)
  })
})

describe('the audit', () => {
  it('tells a project what was done in it, and an admin all', async () => {
    const asked = await demo.call('POST', '/instances', body('seen'), {
      'x-openstack-request-id': 'req-11111111-2222-4333-8444-555555555555',
    })
    const { id } = asked.body.instance
    const own = asked.headers.get('x-openstack-request-id')
    expect(own).not.toContain('11111111')
    await active(demo, id)
    await deleteInstance(demo, id)
    expect((await alt.call('POST', '/instances', {})).status).toBe(400)
    const { body: shown } = await demo.call('GET', `/audit?instance_id=${id}`)
    expect(shown.audit.map((row: Answer['body']) => [row.method, row.route, row.status, row.instance_id])).toEqual([
      ['DELETE', '/instances/{id}', 202, id],
      ['POST', '/instances', 200, id],
    ])
    expect(shown.audit[1]).toMatchObject({ request_id: own, remote_address: '127.0.0.1', project_id: demo.project })
    expect(JSON.stringify((await alt.call('GET', '/audit')).body)).not.toContain(demo.project)
    // Page by page it is the same, newest first.
    const ids: string[] = []
    for (let next: string | undefined = '/audit?limit=3'; next !== undefined; ) {
      const { body: page } = await demo.call('GET', next)
      ids.push(...page.audit.map((row: Answer['body']) => row.id))
      next = page.links?.[0].href
    }
    expect(ids).toEqual(ids.toSorted())
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).toHaveLength(stored('audit').filter(({ body: { project } }) => project === demo.project).length)
    expect((await demo.call('GET', '/mgmt/audit')).status).toBe(401)
    const all: Answer['body'][] = []
    for (let next: string | undefined = '/mgmt/audit?limit=4'; next !== undefined; ) {
      const { body: page } = await admin.call('GET', next)
      all.push(...page.audit)
      next = page.links?.[0].href
    }
    expect(all).toHaveLength(stored('audit').length)
    expect(new Set(all.map(({ project_id }) => project_id))).toEqual(new Set([demo.project, alt.project]))
    expect(coffer.output()).toContain('"globalRequestId":"req-11111111-2222-4333-8444-555555555555"')
  })
})
