import { beforeAll, describe, expect, it } from '@jest/globals'
import { refusal } from './api-helpers.ts'
import { sharedCloud } from './cloud.ts'
import {
  type Answer,
  createInstance,
  deleteInstance,
  requestInstance,
  type Session,
  until,
  waitUntilGone,
} from './coffer.ts'
import { withHostPaused } from './fault-injection.ts'

const NOBODY = '00000000-0000-4000-8000-000000000000'

const { coffer, demo, admin } = sharedCloud()
let shop: Answer['body']
beforeAll(async () => {
  shop = await createInstance(demo)
})

describe('POST /instances', () => {
  const spec = { name: 'other', flavorRef: 1, volume: { size: 1 } }
  const refused = (changes: object) => refusal(demo.call('POST', '/instances', { instance: { ...spec, ...changes } }))

  it('refuses what Trove refuses, each with its code', async () => {
    expect(await refused({ flavorRef: undefined })).toBe('400 Resource None cannot be found.')
    expect(await refused({ flavorRef: 99 })).toBe('400 Flavor 99 cannot be found.')
    expect(await refused({ name: '***' })).toMatch(/^400 Validation error: instance\['name'\]/)
    expect(await refused({ name: '' })).toMatch(/^400 /)
    expect(await refused({ name: 'x'.repeat(256) })).toMatch(/^400 /)
    expect(await refused({ name: 'a\nb' })).toMatch(/^400 /)
    expect(await refused({ volume: undefined })).toBe('400 Volume size was not specified.')
    expect(await refused({ volume: { size: 0 } })).toBe(
      "400 Validation error: instance['volume']['size'] must be at least 1",
    )
    expect(await refused({ volume: { size: '11' } })).toMatch(/^413 Volume 'size' cannot exceed maximum of 10 GB/)
    expect(await refused({ datastore: { type: 'nosql' } })).toBe("404 Datastore 'nosql' cannot be found.")
    expect(await refused({ datastore: { version: '7' } })).toBe("400 Datastore version '7' cannot be found.")
    expect(await refused({ nics: [{ 'port-id': 'x' }] })).toMatch(/^400 /)
    expect(await refused({ nics: [{}, {}] })).toMatch(/^400 /)
    expect(await refused({ nics: [{ ip_address: '10.0.0.1' }] })).toMatch(/^400 .*subnet_id/)
    expect(await refused({ access: { allowed_cidrs: ['10.0.0.0/33'] } })).toMatch(/^400 /)
    expect(await refused({ locality: 'near' })).toMatch(/^400 /)
    expect(await refused({ configuration: NOBODY })).toMatch(/^404 Configuration/)
    expect(await refused({ restorePoint: { backupRef: NOBODY } })).toMatch(/^404 Backup/)
    expect(await refused({ modules: [{ id: NOBODY }] })).toMatch(/^404 Module/)
    expect(await refused({ replica_count: 2 })).toMatch(/^400 /)
  })

  it('refuses databases and users with impossible properties', async () => {
    expect(await refused({ databases: [{ name: 'postgres' }] })).toBe('400 Database name postgres is reserved.')
    expect(await refused({ databases: [{ name: 'a' }, { name: 'a' }] })).toBe("400 Database 'a' is given twice.")
    expect(await refused({ databases: [{ name: 'a', character_set: 'latin1' }] })).toMatch(/^400 /)
    expect(await refused({ users: [{ name: 'a' }] })).toMatch(
      /^400 Validation error: instance\['users'\]\[0\]\['password'\]/,
    )
    expect(await refused({ users: [{ name: 'os_admin', password: 'p' }] })).toBe('400 User name os_admin is reserved.')
    expect(await refused({ users: [{ name: 'a', password: '!!!' }] })).toMatch(/^400 /)
    expect(await refused({ users: [{ name: 'a', password: 'p', databases: [{ name: 'b' }] }] })).toMatch(/^400 /)
    expect(await refused({ users: [1, 2].map(() => ({ name: 'a', password: 'p' })) })).toMatch(/^400 .*twice/)
  })

  it('refuses replicas: 404 without a source, 400 with properties that the source decides, else 501', async () => {
    const ask = (instance: object) => refusal(demo.call('POST', '/instances', { instance }))
    expect(await ask({ name: 'r', replica_of: NOBODY })).toMatch(/^404 /)
    expect(await ask({ name: 'r', replica_of: shop.id })).toMatch(/^501 /)
    expect(await ask({ name: 'r', slave_of: shop.id, replica_count: 2 })).toMatch(/^501 /)
    expect(await ask({ ...spec, replica_of: shop.id })).toMatch(/^400 'flavorRef'/)
  })

  it('accepts the keys of openstacksdk, and flavors by URL, with 200 and an instance in BUILD', async () => {
    const forms = [{ flavor: { id: 2 } }, { flavorRef: `${coffer.base}/v1.0/x/flavors/2`, flavor: undefined }]
    for (const form of forms) {
      const body = {
        instance: { name: 'forms', volume: { size: '1', type: null }, datastore: { type: null }, ...form },
      }
      const id = await withHostPaused(coffer, async () => {
        const { status, body: created } = await demo.call('POST', '/instances', body)
        const { instance } = created
        expect([status, instance.status, instance.operating_status, instance.flavor.id]).toEqual([
          200,
          'BUILD',
          '',
          '2',
        ])
        expect(instance.volume).toEqual({ size: 1 })
        expect(await refusal(demo.call('GET', `/instances/${instance.id}/users`))).toMatch(
          /^422 .*\(task status was BUILDING\)/,
        )
        return instance.id
      })
      await deleteInstance(demo, id)
    }
  })
})

describe('POST /instances/{id}/action', () => {
  const act = (session: Session, body: unknown, id = shop.id) => session.call('POST', `/instances/${id}/action`, body)

  it('needs exactly one known action', async () => {
    expect(await refusal(act(demo, {}))).toBe('400 The body must have exactly one action.')
    expect(await refusal(act(demo, undefined))).toBe('400 The body must have exactly one action.')
    expect(await refusal(act(demo, { reset_status: {}, other: {} }))).toBe('400 The body must have exactly one action.')
    for (const name of ['explode', 'constructor', 'toString', '__proto__x']) {
      expect(await refusal(act(demo, { [name]: {} }))).toBe(`400 There is no such action: ${name}.`)
    }
    expect(await refusal(act(admin, { reset_status: 7 }))).toMatch(/^400 Validation error: reset_status/)
  })

  it('resets the status for admins, and for owners with force_delete', async () => {
    expect(await refusal(act(demo, { reset_status: {} }))).toMatch(/^403 Policy/)
    expect(await refusal(act(demo, { reset_status: {} }, NOBODY))).toMatch(/^404 /)
    const reset = async (session: Session, body: unknown, id: string) => {
      const answer = await act(session, body, id)
      expect([answer.status, answer.text]).toEqual([202, ''])
    }
    const id = await withHostPaused(coffer, async () => {
      const created = await requestInstance(demo)
      await reset(demo, { reset_status: { force_delete: true } }, created.id)
      return created.id
    })
    const current = async () => (await demo.call('GET', `/instances/${id}`)).body.instance
    // The create is rolled back; then the error is cleared, and there is no server.
    await until('ERROR', async () => (await current()).status === 'ERROR')
    await reset(admin, { reset_status: {} }, id)
    await until('SHUTDOWN', async () => (await current()).status === 'SHUTDOWN')
    expect(await current()).not.toHaveProperty('fault')
    await deleteInstance(demo, id)
  })
})

describe('DELETE /instances/{id}', () => {
  it('is accepted while the instance is being built, which is SHUTDOWN until it is gone', async () => {
    const remove = (id: string) => demo.call('DELETE', `/instances/${id}`)
    const id = await withHostPaused(coffer, async () => {
      const created = await requestInstance(demo)
      const answer = await remove(created.id)
      expect([answer.status, answer.text]).toEqual([202, ''])
      const current = await demo.call('GET', `/instances/${created.id}`)
      expect([current.status, current.body.instance.status]).toEqual([200, 'SHUTDOWN'])
      expect((await remove(created.id)).status).toBe(202)
      return created.id
    })
    await waitUntilGone(demo, id)
    expect((await remove(id)).status).toBe(404)
  })
})
