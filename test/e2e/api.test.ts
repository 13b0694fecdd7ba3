import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { faultOf, pages, query, raw, segment, userIs } from './api-helpers.ts'
import {
  type Answer,
  type Coffer,
  createInstance,
  deleteInstance,
  gone,
  request,
  type Session,
  startCoffer,
  until,
  wipe,
} from './coffer.ts'

jest.setTimeout(60_000)

const brief = { instance: { name: 'brief', flavorRef: '1', volume: { size: 1 } } }
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/
const UUID = /^[0-9a-f-]{36}$/
const NOBODY = '00000000-0000-4000-8000-000000000000'

let coffer: Coffer
let demo: Session
let admin: Session
let shop: Answer['body']

beforeAll(async () => {
  coffer = await startCoffer()
  ;[demo, admin] = await Promise.all([coffer.login(), coffer.login('openrc-admin')])
  shop = await createInstance(demo, {
    databases: [{ name: 'cart', character_set: 'utf8', collate: 'de_DE' }],
    users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
    access: { is_public: false },
    nics: [{ network_id: 'any' }],
    availability_zone: 'nova',
    unknown_key: 1,
  })
})
afterAll(async () => {
  await coffer?.stop()
  await wipe(coffer.dataDir)
})

const links = (resource: string) => [
  { href: `${coffer.base}/v1.0/${demo.project}/${resource}`, rel: 'self' },
  { href: `${coffer.base}/${resource}`, rel: 'bookmark' },
]
/** The status and message of a refusal, for comparison in one line. */
const refusal = async (asked: Promise<Answer>) => {
  const answer = await asked
  const { code, message } = faultOf(answer)
  expect(code).toBe(answer.status)
  return `${code} ${message}`
}

describe('versions and the shape of every answer', () => {
  it('lists versions without a token', async () => {
    const answer = await request('GET', `${coffer.base}/`)
    const version = {
      id: 'v1.0',
      status: 'CURRENT',
      updated: '2012-08-01T00:00:00Z',
      links: [{ rel: 'self', href: `${coffer.base}/v1.0/` }],
    }
    expect([answer.status, answer.body]).toEqual([200, { versions: [version] }])
    expect((await demo.call('GET', `${coffer.base}/v1.0/`)).body).toEqual({ version })
    expect((await request('GET', `${coffer.base}/v1.0/`)).status).toBe(401)
    expect((await request('GET', `${coffer.base}/healthz`)).status).toBe(200)
  })

  it('has a request id and the JSON type, on empty bodies and errors too', async () => {
    const answers = [
      await demo.call('GET', '/flavors'),
      await demo.call('GET', '/nothing'),
      await demo.call('PUT', '/x', '{'),
    ]
    for (const { headers } of answers) {
      expect(headers.get('content-type')).toBe('application/json')
      expect(headers.get('x-openstack-request-id')).toMatch(/^req-[0-9a-f-]{36}$/)
    }
  })

  it('answers 404 to unknown routes and methods, HEAD too', async () => {
    for (const path of ['/nothing', '/instances/detail/x', '/flavors.json', '/instances.json', '/healthz', '', '/']) {
      expect(await refusal(demo.call('GET', path))).toBe('404 The resource could not be found.')
    }
    expect(await refusal(demo.call('PATCH', '/flavors'))).toBe('404 The resource could not be found.')
    expect(await refusal(demo.call('DELETE', '/instances'))).toBe('404 The resource could not be found.')
    expect((await demo.call('HEAD', '/flavors')).status).toBe(404)
    expect((await demo.call('OPTIONS', '/flavors')).status).toBe(404)
    expect((await request('GET', `${coffer.base}/v2.0/x`)).status).toBe(404)
    expect((await request('GET', `${coffer.base}/instances`)).status).toBe(404)
  })

  it('links with the scheme that a proxy in front was asked with, and with no other word', async () => {
    const first = async (scheme: string) =>
      (await demo.call('GET', '/flavors/1', undefined, { 'x-forwarded-proto': scheme })).body.flavor.links[0].href
    expect(await first('https')).toMatch(/^https:\/\/127/)
    expect(await first('http, https')).toMatch(/^http:\/\/127/)
    expect(await first('javascript')).toMatch(/^https:\/\/127/)
  })
})

describe('flavors, datastores and limits', () => {
  it('lists and shows flavors', async () => {
    const { status, body } = await demo.call('GET', '/flavors')
    const flavor = {
      id: 1,
      str_id: '1',
      name: 'db.tiny',
      ram: 512,
      vcpus: 1,
      disk: 0,
      ephemeral: 0,
      links: links('flavors/1'),
    }
    expect([status, body.flavors[0]]).toEqual([200, flavor])
    expect((await demo.call('GET', '/flavors/1')).body).toEqual({ flavor })
    expect(await refusal(demo.call('GET', '/flavors/99'))).toBe('404 Flavor 99 cannot be found.')
    expect(await refusal(demo.call('GET', '/flavors/x%2F1'))).toBe('404 Flavor x/1 cannot be found.')
  })

  it('lists and shows datastores and their versions', async () => {
    const { datastores } = (await demo.call('GET', '/datastores')).body
    const [{ id, default_version, versions }] = datastores
    expect(datastores[0]).toMatchObject({ name: 'postgresql', links: links(`datastores/${id}`) })
    const [version] = versions
    expect(Object.keys(version).sort()).toEqual(['id', 'links', 'name', 'version'])
    expect(default_version).toMatch(UUID)
    for (const path of [`/datastores/${id}`, '/datastores/postgresql', '/datastores/postgresql.json']) {
      expect((await demo.call('GET', path)).body).toEqual({ datastore: datastores[0] })
    }
    expect((await demo.call('GET', '/datastores.json')).body).toEqual({ datastores })
    const shown = { ...version, datastore: id }
    expect((await demo.call('GET', '/datastores/postgresql/versions')).body).toEqual({ versions: [shown] })
    for (const path of [
      `postgresql/versions/${version.id}`,
      `${id}/versions/${version.name}`,
      `versions/${version.id}`,
    ]) {
      expect((await demo.call('GET', `/datastores/${path}`)).body).toEqual({ version: shown })
    }
    expect((await admin.call('GET', `/datastores/versions/${version.id}`)).body.version).toMatchObject({ active: true })
    const { flavors } = (await demo.call('GET', `/datastores/postgresql/versions/${version.id}/flavors`)).body
    expect(flavors).toHaveLength(5)
    expect((await demo.call('GET', `/datastores/postgresql/versions/${version.id}/volume-types`)).body).toEqual({
      volume_types: [],
    })
  })

  it('answers 404 for an unknown datastore, and 400 for an unknown version', async () => {
    expect(await refusal(demo.call('GET', '/datastores/nosql'))).toBe("404 Datastore 'nosql' cannot be found.")
    expect(await refusal(demo.call('GET', '/datastores/nosql/versions/18'))).toMatch(/^404 /)
    for (const path of ['versions/7', 'postgresql/versions/7', 'postgresql/versions/7/flavors']) {
      expect(await refusal(demo.call('GET', `/datastores/${path}`))).toBe("400 Datastore version '7' cannot be found.")
    }
  })

  it('lists limits', async () => {
    const { limits } = (await demo.call('GET', '/limits')).body
    expect(limits[0]).toEqual({ verb: 'ABSOLUTE', max_instances: 10, max_ram: -1, max_volumes: 40, max_backups: 50 })
    expect(limits.map(({ verb }: { verb: string }) => verb)).toEqual([
      'ABSOLUTE',
      'POST',
      'PUT',
      'DELETE',
      'GET',
      'POST',
    ])
    expect(limits[1]).toMatchObject({ uri: '*', regex: '.*', value: 200, unit: 'MINUTE' })
    expect(limits[1].nextAvailable).toMatch(/Z$/)
  })
})

describe('an instance', () => {
  it('is shown in full', async () => {
    const { status, body } = await demo.call('GET', `/instances/${shop.id}`)
    expect(status).toBe(200)
    const { created, updated, service_status_updated, volume, ip, addresses, ...fixed } = body.instance
    for (const time of [created, updated, service_status_updated]) expect(time).toMatch(TIME)
    expect(volume).toMatchObject({ size: 1 })
    expect(ip).toEqual([addresses[0].address])
    expect(addresses[0]).toMatchObject({ type: 'private' })
    expect(fixed).toEqual({
      id: shop.id,
      name: 'shop',
      status: 'ACTIVE',
      operating_status: 'HEALTHY',
      links: links(`instances/${shop.id}`),
      flavor: { id: '1', links: links('flavors/1') },
      datastore: { type: 'postgresql', version: '18', version_number: expect.any(String) },
      region: 'RegionOne',
      access: { is_public: false },
    })
  })

  it('is listed, with details where asked', async () => {
    const [brief] = (await demo.call('GET', '/instances?include_clustered=True&deleted=False')).body.instances
    expect(brief).toMatchObject({ id: shop.id, volume: { size: 1 }, datastore: { type: 'postgresql', version: '18' } })
    expect(Object.keys(brief)).not.toContain('created')
    expect((await demo.call('GET', '/instances/detail')).body.instances[0]).toEqual(
      (await demo.call('GET', `/instances/${shop.id}`)).body.instance,
    )
    expect((await admin.call('GET', '/instances')).body).toEqual({ instances: [] })
    expect((await demo.call('GET', `/instances?marker=${shop.id}`)).body).toEqual({ instances: [] })
  })

  it('is shown to an admin with what only admins see', async () => {
    const { instance } = (await admin.call('GET', `/instances/${shop.id}`)).body
    expect(instance).toMatchObject({
      tenant_id: demo.project,
      server_id: expect.any(String),
      volume_id: expect.any(String),
    })
    expect(instance.links[0].href).toBe(`${coffer.base}/v1.0/${admin.project}/instances/${shop.id}`)
  })

  it('shows its operations', async () => {
    const [operation] = (await demo.call('GET', `/instances/${shop.id}/operations`)).body.operations
    expect(operation).toMatchObject({ name: 'create_instance', status: 'DONE', percent: 100, error: null, step: null })
    expect(operation.started).toMatch(TIME)
    expect(operation.steps).toEqual(['volume', 'server', 'prepared', 'running'])
  })

  it('is not found by another id', async () => {
    for (const id of [
      NOBODY,
      'x',
      'shop',
      '..%2fshop',
      `${shop.id}%00`,
      `${shop.id.toUpperCase()}`,
      'y'.repeat(9_000),
    ]) {
      for (const [method, path] of [
        ['GET', ''],
        ['DELETE', ''],
        ['GET', '/databases'],
        ['GET', '/users/ann'],
        ['GET', '/operations'],
      ]) {
        expect(await refusal(demo.call(method ?? '', `/instances/${id}${path}`))).toMatch(
          /^404 Resource .{1,81} cannot be found\.$/s,
        )
      }
    }
  })
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

describe('databases', () => {
  let path: string
  beforeAll(() => {
    path = `/instances/${shop.id}/databases`
  })
  const names = async () => (await demo.call('GET', path)).body.databases.map(({ name }: { name: string }) => name)

  it('are created, listed and deleted', async () => {
    const asked = await demo.call('POST', path, {
      databases: [{ name: 'b1', character_set: 'utf8', collate: 'en_US' }, { name: 'b2' }],
    })
    expect([asked.status, asked.text]).toEqual([202, ''])
    await until('b2', async () => (await names()).includes('b2'))
    expect((await demo.call('GET', `${path}.json`)).body).toEqual({
      databases: [{ name: 'b1' }, { name: 'b2' }, { name: 'cart' }],
    })
    expect((await demo.call('POST', path, { database: { name: 'sdk' } })).status).toBe(202)
    expect((await demo.call('POST', path, { databases: [] })).status).toBe(202)
    await until('sdk', async () => (await names()).includes('sdk'))
    expect((await demo.call('DELETE', `${path}/sdk`)).status).toBe(202)
    await until('no sdk', async () => !(await names()).includes('sdk'))
  })

  it('are paged', async () => {
    expect(await pages(demo, 'databases', `${path}?limit=2`)).toEqual([['b1', 'b2'], ['cart']])
    const { body } = await demo.call('GET', `${path}?limit=1`)
    expect(body.databases_links).toEqual(body.links)
    expect(await refusal(demo.call('GET', `${path}?limit=x`))).toMatch(/^400 limit/)
    expect(await refusal(demo.call('GET', `${path}?limit=0`))).toMatch(/^400 limit/)
  })

  it('are refused with the right code', async () => {
    expect(await refusal(demo.call('POST', path, { databases: [{ name: 'cart' }] }))).toBe(
      "400 Database 'cart' already exists.",
    )
    expect(await refusal(demo.call('POST', path, { databases: [{ name: 'x' }, { name: 'x' }] }))).toMatch(/^400 /)
    expect(await refusal(demo.call('POST', path, {}))).toMatch(/^400 Validation error/)
    expect(await refusal(demo.call('DELETE', `${path}/postgres`))).toBe('400 Database name postgres is reserved.')
    expect(await refusal(demo.call('DELETE', `${path}/nothing`))).toMatch(/^404 Database nothing cannot be found/)
    expect(await refusal(demo.call('GET', `${path}/cart`))).toMatch(/^501 /)
  })
})

describe('users', () => {
  let path: string
  beforeAll(() => {
    path = `/instances/${shop.id}/users`
  })
  const login = (user: string, password: string, database = 'cart') =>
    query(shop, { user, password, database }, 'SELECT 1')

  it('are created, shown and listed', async () => {
    const bob = { name: 'bob', password: 'pw2', host: '127.0.0.%', databases: [{ name: 'cart' }, { name: 'b1' }] }
    const asked = await demo.call('POST', path, { users: [bob] })
    expect([asked.status, asked.text]).toEqual([202, ''])
    await userIs(demo, path, 'bob', 200)
    const shown = await until('grants', async () => {
      const { user } = (await demo.call('GET', `${path}/bob@127%2e0%2e0%2e%25`)).body
      return user.databases.length === 2 && user
    })
    expect(shown).toEqual({ name: 'bob', host: '127.0.0.%', databases: [{ name: 'b1' }, { name: 'cart' }] })
    expect((await demo.call('GET', path)).body.users).toEqual([
      { name: 'ann', host: '%', databases: [{ name: 'cart' }] },
      shown,
    ])
    await login('bob', 'pw2', 'b1')
  })

  it('are created by openstacksdk too', async () => {
    const cid = { name: 'cid', password: 'pw3' }
    expect((await demo.call('POST', `${path}/cid`, { users: cid })).status).toBe(202)
    await userIs(demo, path, 'cid', 200)
    expect(await refusal(demo.call('POST', `${path}/dan`, { users: cid }))).toMatch(/^400 /)
  })

  it('are paged by name@host', async () => {
    expect(await pages(demo, 'users', `${path}.json?limit=2`)).toEqual([['ann', 'bob'], ['cid']])
    const { body } = await demo.call('GET', `${path}?limit=1`)
    expect(new URL(body.links[0].href).searchParams.get('marker')).toBe('ann@%')
    expect(body.users_links).toEqual(body.links)
    for (const marker of ['ann', 'ann@%25', 'ann%40%25']) {
      expect((await demo.call('GET', `${path}?marker=${marker}`)).body.users[0].name).toBe('bob')
    }
  })

  it('are refused with the right code', async () => {
    const create = (user: object) =>
      refusal(demo.call('POST', path, { users: [{ name: 'new', password: 'pw', ...user }] }))
    expect(await create({ name: 'ann' })).toBe("400 User 'ann' already exists.")
    expect(await create({ name: 'postgres' })).toMatch(/^400 .*reserved/)
    expect(await create({ name: 'pg_x' })).toMatch(/^400 .*reserved/)
    expect(await create({ host: 'localhost' })).toMatch(/^400 /)
    expect(await create({ databases: [{ name: 'nothing' }] })).toMatch(/^404 Database nothing/)
    for (const [method, tail, body] of [
      ['GET', '', undefined],
      ['DELETE', '', undefined],
      ['PUT', '', { user: { name: 'y' } }],
      ['GET', '/databases', undefined],
      ['PUT', '/databases', { databases: [{ name: 'cart' }] }],
      ['DELETE', '/databases/cart', undefined],
    ] as const) {
      expect(await refusal(demo.call(method, `${path}/x${tail}`, body))).toBe(
        '404 User x@% cannot be found on the instance.',
      )
    }
    expect(await refusal(demo.call('GET', `${path}/ann%4010.0.0.1`))).toMatch(/^404 User ann@10.0.0.1/)
    expect(await refusal(demo.call('GET', `${path}/os_admin`))).toMatch(/^400 /)
    expect(await refusal(demo.call('PUT', path, { users: [{ name: 'x', password: 'p' }] }))).toMatch(/^404 /)
  })

  it('get other passwords, many at once or one by one', async () => {
    expect((await demo.call('PUT', path, { users: [{ name: 'ann', password: 'new1' }] })).status).toBe(202)
    await until('new password', () => login('ann', 'new1').catch(() => false))
    expect((await demo.call('PUT', `${path}/ann`, { user: { password: 'new2' } })).status).toBe(202)
    await until('newer password', () => login('ann', 'new2').catch(() => false))
    await expect(login('ann', 'new1')).rejects.toThrow(/password/)
  })

  it('get another name and host', async () => {
    expect(await refusal(demo.call('PUT', `${path}/cid`, { user: { name: 'ann' } }))).toBe(
      "400 User 'ann' already exists.",
    )
    expect(await refusal(demo.call('PUT', `${path}/cid`, { user: { name: 'postgres' } }))).toMatch(/^400 .*reserved/)
    expect((await demo.call('PUT', `${path}/cid`, { user: { name: 'eve', host: '10.0.0.0/8' } })).status).toBe(202)
    const { body } = await userIs(demo, path, 'eve', 200)
    expect(body.user).toEqual({ name: 'eve', host: '10.0.0.0/8', databases: [] })
    expect((await demo.call('GET', `${path}/cid`)).status).toBe(404)
  })

  it('are granted and denied databases, at once', async () => {
    const grants = `${path}/ann/databases`
    expect((await demo.call('PUT', grants, { databases: [{ name: 'b1' }] })).status).toBe(202)
    expect((await demo.call('GET', grants)).body).toEqual({ databases: [{ name: 'b1' }, { name: 'cart' }] })
    await login('ann', 'new2', 'b1')
    expect((await demo.call('DELETE', `${grants}/b1`)).status).toBe(202)
    await expect(login('ann', 'new2', 'b1')).rejects.toThrow(/permission/)
    expect(await refusal(demo.call('DELETE', `${grants}/b1`))).toMatch(/^404 /)
    expect(await refusal(demo.call('PUT', grants, { databases: [{ name: 'nothing' }] }))).toMatch(/^404 /)
  })

  it('are deleted', async () => {
    for (const id of ['bob@127.0.0.%', 'eve']) {
      expect((await demo.call('DELETE', `${path}/${segment(id)}`)).status).toBe(202)
      await userIs(demo, path, id, 404)
    }
    await expect(login('bob', 'pw2')).rejects.toThrow(/password/)
    expect(
      (await raw('GET', coffer.base, `/v1.0/${demo.project}${path}/%2e%2e`, { 'x-auth-token': demo.token })).status,
    ).toBe(404)
  })
})
