import { beforeAll, describe, expect, it } from '@jest/globals'
import { refusal } from './api-helpers.ts'
import { CART, sharedCloud } from './cloud.ts'
import { type Answer, createInstance, request } from './coffer.ts'

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/
const UUID = /^[0-9a-f-]{36}$/
const NOBODY = '00000000-0000-4000-8000-000000000000'

const { coffer, demo, admin } = sharedCloud()
let shop: Answer['body']
beforeAll(async () => {
  shop = await createInstance(demo, {
    ...CART,
    databases: [{ name: 'cart', character_set: 'utf8', collate: 'de_DE' }],
    access: { is_public: false },
    nics: [{ network_id: 'any' }],
    availability_zone: 'nova',
    unknown_key: 1,
  })
})

const links = (resource: string) => [
  { href: `${coffer.base}/v1.0/${demo.project}/${resource}`, rel: 'self' },
  { href: `${coffer.base}/${resource}`, rel: 'bookmark' },
]
describe('versions and the form of every response', () => {
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

  it('has a request id and the JSON type, with empty bodies and errors too', async () => {
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

  it('uses the scheme that a proxy forwards in its links, and no other word', async () => {
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
    // Other test files add datastores meanwhile.
    const listed = async (path: string) =>
      (await demo.call('GET', path)).body.datastores.filter(({ name }: { name: string }) => name === 'postgresql')
    const [datastore, ...rest] = await listed('/datastores')
    const { id, default_version, versions } = datastore
    expect([datastore.name, datastore.links, rest]).toEqual(['postgresql', links(`datastores/${id}`), []])
    expect(versions.map(({ name }: { name: string }) => name)).toEqual(['15', '16', '17', '18.3', '18'])
    const [version] = versions
    expect(Object.keys(version).sort()).toEqual(['id', 'links', 'name', 'version'])
    expect(default_version).toMatch(UUID)
    for (const path of [`/datastores/${id}`, '/datastores/postgresql', '/datastores/postgresql.json']) {
      expect((await demo.call('GET', path)).body).toEqual({ datastore })
    }
    expect(await listed('/datastores.json')).toEqual([datastore])
    const withDatastore = { ...version, datastore: id }
    expect((await demo.call('GET', '/datastores/postgresql/versions')).body).toEqual({
      versions: versions.map((each: object) => ({ ...each, datastore: id })),
    })
    for (const path of [
      `postgresql/versions/${version.id}`,
      `${id}/versions/${version.name}`,
      `versions/${version.id}`,
    ]) {
      expect((await demo.call('GET', `/datastores/${path}`)).body).toEqual({ version: withDatastore })
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
    // Without a limit of requests, as here, it shows none; throttle.test.ts has one.
    expect(limits).toHaveLength(1)
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

  it('is listed, with details on request', async () => {
    const [brief] = (await demo.call('GET', '/instances?include_clustered=True&deleted=False')).body.instances
    expect(brief).toMatchObject({ id: shop.id, volume: { size: 1 }, datastore: { type: 'postgresql', version: '18' } })
    expect(Object.keys(brief)).not.toContain('created')
    expect((await demo.call('GET', '/instances/detail')).body.instances[0]).toEqual(
      (await demo.call('GET', `/instances/${shop.id}`)).body.instance,
    )
    expect((await admin.call('GET', '/instances')).body).toEqual({ instances: [] })
    expect((await demo.call('GET', `/instances?marker=${shop.id}`)).body).toEqual({ instances: [] })
  })

  it('is shown to an admin with additional fields', async () => {
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
    expect(operation.steps).toEqual(['create_volume', 'create_server', 'send_prepare', 'wait_until_serving'])
  })

  it('is not found by any other id', async () => {
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
