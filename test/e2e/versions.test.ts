import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { faultOf, query, refusal } from './api-helpers.ts'
import { ANN, CART, ownCloud } from './cloud.ts'
import { type Answer, createInstance, deleteInstance, until } from './coffer.ts'

const MANAGED = '/mgmt/datastore-versions'

const { coffer, demo, admin, restart } = ownCloud(['--spares', '0'])

const create = (version: string, properties: Record<string, unknown> = {}) =>
  createInstance(demo, {
    name: `pg-${version}`,
    datastore: { type: 'postgresql', version },
    ...CART,
    ...properties,
  })
const managed = async (name: string): Promise<Answer['body']> => {
  const { versions } = (await admin.call('GET', MANAGED)).body
  return versions.find((version: { name: string }) => version.name === name)
}
const change = async (name: string, body: unknown) =>
  admin.call('PATCH', `${MANAGED}/${(await managed(name)).id}`, body)

/** The settings that the API shows for an instance, and those of its server. */
async function configurations({ id, addresses }: Answer['body']): Promise<[unknown, unknown]> {
  const configuration: object = (await demo.call('GET', `/instances/${id}/configuration`)).body.instance.configuration
  const names = Object.keys(configuration).map(name => `('${name}')`)
  const rows = await query(
    { addresses },
    ANN,
    `SELECT name, current_setting(name) AS value FROM (VALUES ${names}) AS shown (name)`,
  )
  const actual = rows.map(row => [Object(row).name, Object(row).value])
  return [
    Object.fromEntries(Object.entries(configuration).map(([name, value]) => [name, String(value)])),
    Object.fromEntries(actual),
  ]
}

describe('instances of each version', () => {
  const VERSIONS = [
    ['15', '15.18'],
    ['16', '16.14'],
    ['17', '17.10'],
    ['18.3', '18.3'],
  ] as const
  const hasEngine = (version: string) => existsSync(join(coffer.dataDir, 'runtime', `postgresql-${version}`))
  const instances = new Map<string, Answer['body']>()
  let enginesBefore: boolean[]

  beforeAll(async () => {
    enginesBefore = VERSIONS.map(([version]) => hasEngine(version))
    await Promise.all(VERSIONS.map(async ([version]) => instances.set(version, await create(version))))
  })

  it('get their engine when the first of them is created', () => {
    expect(enginesBefore).toEqual(VERSIONS.map(() => false))
    expect(VERSIONS.map(([version]) => hasEngine(version))).toEqual(VERSIONS.map(() => process.getuid?.() === 0))
  })

  it.each(VERSIONS)('%s run PostgreSQL %s, and its users can use it', async (version, number) => {
    const instance = instances.get(version)
    expect(instance.datastore).toEqual({ type: 'postgresql', version, version_number: number })
    expect(await query(instance, ANN, 'SHOW server_version')).toEqual([{ server_version: number }])
    const [documented, actual] = await configurations(instance)
    expect(documented).toEqual(actual)
    await query(instance, ANN, 'CREATE TABLE items (id int)')
    const path = `/instances/${instance.id}`
    const databases = { databases: [{ name: 'orders', collate: 'de' }] }
    expect((await demo.call('POST', `${path}/databases`, databases)).status).toBe(202)
    await until('database', async () => (await demo.call('GET', `${path}/databases`)).text.includes('"orders"'))
    const bob = { name: 'bob', host: '%', databases: [{ name: 'orders' }] }
    const users = { users: [{ name: 'bob', password: 'pw2', databases: bob.databases }] }
    expect((await demo.call('POST', `${path}/users`, users)).status).toBe(202)
    // The user exists a moment before its grant.
    await until('user bob with its grant', async () =>
      (await demo.call('GET', `${path}/users`)).text.includes(JSON.stringify(bob)),
    )
    const fast = { databases: [{ name: 'fast', collate: 'PG_UNICODE_FAST' }] }
    const answer = await demo.call('POST', `${path}/databases`, fast)
    expect(answer.status).toBe(number.startsWith('18') ? 202 : 400)
    await deleteInstance(demo, instance.id)
    expect(hasEngine(version)).toBe(process.getuid?.() === 0)
  })
})

describe('managing versions', () => {
  it('is for admins', async () => {
    for (const [method, path, body] of [
      ['GET', MANAGED, undefined],
      ['GET', `${MANAGED}/x`, undefined],
      ['POST', MANAGED, {}],
      ['PATCH', `${MANAGED}/x`, {}],
      ['DELETE', `${MANAGED}/x`, undefined],
    ] as const) {
      expect(await refusal(demo.call(method, path, body))).toBe('401 User does not have admin privileges.')
    }
    const refused = await refusal(demo.call('DELETE', '/datastores/postgresql'))
    expect(refused).toBe('403 Policy does not allow DELETE /datastores/{datastore} to be performed.')
    expect((await admin.call('PUT', `${MANAGED}/x`, {})).status).toBe(404)
  })

  it('lists and shows every version in full', async () => {
    const { status, body } = await admin.call('GET', MANAGED)
    expect(status).toBe(200)
    expect(body.versions.map(({ name }: { name: string }) => name)).toEqual(['15', '16', '17', '18.3', '18'])
    for (const version of body.versions) {
      expect(Object.keys(version).sort()).toEqual(
        [
          'id name version datastore_id datastore_name datastore_manager image image_tags packages active',
          'registry_ext repl_strategy default',
        ]
          .join(' ')
          .split(' ')
          .sort(),
      )
      expect((await admin.call('GET', `${MANAGED}/${version.id}`)).body).toEqual({ version })
    }
    expect(body.versions.filter((version: { default: boolean }) => version.default)).toMatchObject([{ name: '18' }])
  })

  it('hides an inactive version and refuses it in creates, until it is active again', async () => {
    expect(await change('17', { active: false })).toMatchObject({ status: 202, text: '' })
    const instance = { name: 'x', flavorRef: 1, volume: { size: 1 }, datastore: { type: 'postgresql', version: '17' } }
    const refused = await demo.call('POST', '/instances', { instance })
    expect(faultOf(refused)).toMatchObject({ code: 400, message: "Datastore version '17' is not active." })
    expect((await demo.call('GET', '/datastores/postgresql/versions/17')).status).toBe(400)
    expect((await demo.call('GET', '/datastores')).text).not.toContain('17.10')
    expect((await admin.call('GET', '/datastores')).text).toContain('17.10')
    expect((await change('17', { active: true })).status).toBe(202)
    expect((await demo.call('GET', '/datastores/postgresql/versions/17')).status).toBe(200)
  })

  it('creates a version in a datastore of its own, makes it the default, and deletes it', async () => {
    const version = {
      name: 'stable',
      version: 'our-1',
      datastore_name: 'shopdb',
      datastore_manager: 'postgresql',
      image: '17',
      active: true,
    }
    const answer = await admin.call('POST', MANAGED, {
      version: { ...version, default: true, default_datastore: true },
    })
    expect([answer.status, answer.text]).toEqual([202, ''])
    expect(await refusal(admin.call('POST', MANAGED, { version }))).toMatch(/^400 .*already exists/)
    expect(await refusal(admin.call('POST', MANAGED, { version: { ...version, image: null } }))).toMatch(/^400 Image/)

    const instance = await create('stable', { datastore: undefined })
    expect(instance.datastore).toEqual({ type: 'shopdb', version: 'stable', version_number: 'our-1' })
    expect(await query(instance, ANN, 'SHOW server_version')).toEqual([{ server_version: '17.10' }])
    const [documented, actual] = await configurations(instance)
    expect(documented).toEqual(actual)
    expect((await demo.call('GET', `/instances/${instance.id}/users`)).body.users).toHaveLength(1)
    const { id } = await managed('stable')
    expect(await refusal(admin.call('DELETE', `${MANAGED}/${id}`))).toBe('400 Datastore version is in use by instance.')
    expect(await refusal(admin.call('DELETE', '/datastores/shopdb'))).toMatch(/^400 /)
    await deleteInstance(demo, instance.id)
    expect((await admin.call('DELETE', `${MANAGED}/${id}`)).status).toBe(202)
    expect((await admin.call('DELETE', `${MANAGED}/${id}`)).status).toBe(400)
    expect((await admin.call('DELETE', '/datastores/shopdb')).status).toBe(202)
    expect(await refusal(demo.call('GET', '/datastores/shopdb'))).toBe("404 Datastore 'shopdb' cannot be found.")
    expect((await change('18', { default_datastore: true })).status).toBe(202)
  })

  it('survives a restart', async () => {
    expect((await change('16', { active: false, default: true })).status).toBe(202)
    await restart()
    expect(await managed('16')).toMatchObject({ active: false, default: true })
    expect(await managed('18')).toMatchObject({ default: false })
  })
})
