import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { faultOf, refusal } from './api-helpers.ts'
import {
  type Answer,
  type Coffer,
  createInstance,
  deleteInstance,
  gone,
  type Session,
  startCoffer,
  until,
  wipe,
} from './coffer.ts'

jest.setTimeout(60_000)

const brief = { instance: { name: 'brief', flavorRef: '1', volume: { size: 1 } } }
const NOBODY = '00000000-0000-4000-8000-000000000000'

let coffer: Coffer
let demo: Session
let admin: Session
let shop: Answer['body']
beforeAll(async () => {
  coffer = await startCoffer()
  demo = await coffer.login()
  admin = await coffer.login('openrc-admin')
  shop = await createInstance(demo)
})
afterAll(async () => {
  await coffer?.stop()
  await wipe(coffer.dataDir)
})

describe('POST /instances', () => {
  const wanted = { name: 'other', flavorRef: 1, volume: { size: 1 } }
  const refused = (more: object) => refusal(demo.call('POST', '/instances', { instance: { ...wanted, ...more } }))

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

  it('refuses databases and users that cannot be', async () => {
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

  it('refuses replicas: 404 without a source, 400 with what the source gives, else 501', async () => {
    const ask = (instance: object) => refusal(demo.call('POST', '/instances', { instance }))
    expect(await ask({ name: 'r', replica_of: NOBODY })).toMatch(/^404 /)
    expect(await ask({ name: 'r', replica_of: shop.id })).toMatch(/^501 /)
    expect(await ask({ name: 'r', slave_of: shop.id, replica_count: 2 })).toMatch(/^501 /)
    expect(await ask({ ...wanted, replica_of: shop.id })).toMatch(/^400 'flavorRef'/)
  })

  it('takes the words of openstacksdk, and flavors by URL; answers 200 with a BUILD instance', async () => {
    const forms = [{ flavor: { id: 2 } }, { flavorRef: `${coffer.base}/v1.0/x/flavors/2`, flavor: undefined }]
    for (const form of forms) {
      const body = {
        instance: { name: 'forms', volume: { size: '1', type: null }, datastore: { type: null }, ...form },
      }
      const { status, body: made } = await demo.call('POST', '/instances', body)
      expect([status, made.instance.status, made.instance.operating_status, made.instance.flavor.id]).toEqual([
        200,
        'BUILD',
        '',
        '2',
      ])
      expect(made.instance.volume).toEqual({ size: 1 })
      const users = await demo.call('GET', `/instances/${made.instance.id}/users`)
      if (users.status !== 200)
        expect(faultOf(users)).toMatchObject({
          code: 422,
          message: expect.stringMatching(/\(task status was BUILDING\)/),
        })
      await deleteInstance(demo, made.instance.id)
    }
  })
})

describe('POST /instances/{id}/action', () => {
  const act = (session: Session, body: unknown, id = shop.id) => session.call('POST', `/instances/${id}/action`, body)

  it('has exactly one known name', async () => {
    expect(await refusal(act(demo, {}))).toBe('400 The body must have exactly one action.')
    expect(await refusal(act(demo, undefined))).toBe('400 The body must have exactly one action.')
    expect(await refusal(act(demo, { reset_status: {}, other: {} }))).toBe('400 The body must have exactly one action.')
    for (const name of ['explode', 'constructor', 'toString', '__proto__x']) {
      expect(await refusal(act(demo, { [name]: {} }))).toBe(`400 There is no such action: ${name}.`)
    }
    expect(await refusal(act(admin, { reset_status: 7 }))).toMatch(/^400 Validation error: reset_status/)
  })

  it('resets the status for admins, and for owners who mean to delete', async () => {
    expect(await refusal(act(demo, { reset_status: {} }))).toMatch(/^403 Policy/)
    expect(await refusal(act(demo, { reset_status: {} }, NOBODY))).toMatch(/^404 /)
    const { instance } = (await demo.call('POST', '/instances', brief)).body
    const shown = async () => (await demo.call('GET', `/instances/${instance.id}`)).body.instance
    for (const [session, body, word] of [
      // What was being built turns round; then the error is cleared, and there is no server.
      [demo, { reset_status: { force_delete: true } }, 'ERROR'],
      [admin, { reset_status: {} }, 'SHUTDOWN'],
    ] as const) {
      const answer = await act(session, body, instance.id)
      expect([answer.status, answer.text]).toEqual([202, ''])
      await until(word, async () => (await shown()).status === word)
    }
    expect(await shown()).not.toHaveProperty('fault')
    await deleteInstance(demo, instance.id)
  })
})

describe('deleting', () => {
  it('is taken while the instance is being built; it is shown as SHUTDOWN, then not at all', async () => {
    const { body } = await demo.call('POST', '/instances', brief)
    const { id } = body.instance
    const asked = await demo.call('DELETE', `/instances/${id}`)
    expect([asked.status, asked.text]).toEqual([202, ''])
    const shown = await demo.call('GET', `/instances/${id}`)
    if (shown.status === 200) expect(shown.body.instance.status).toBe('SHUTDOWN')
    expect([202, 404]).toContain((await demo.call('DELETE', `/instances/${id}`)).status)
    await gone(demo, id)
    expect((await demo.call('DELETE', `/instances/${id}`)).status).toBe(404)
  })
})
