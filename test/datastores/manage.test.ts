import { beforeEach, describe, expect, it } from '@jest/globals'
import { allDatastores, chooseVersion, engineOf, manifestOf } from '../../lib/datastores/catalog.ts'
import { datastores } from '../../lib/datastores/datastore.ts'
import { postgresql } from '../../lib/datastores/postgresql/manifest.ts'
import { routes } from '../../lib/datastores/routes.ts'
import { instances } from '../../lib/instances/instance.ts'
import { validated } from '../../lib/kit/http/parse.ts'
import { type Call, router } from '../../lib/kit/http/route.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { silentLog } from '../kit/random.ts'
import { World } from '../sim/world.ts'

const find = router(routes)
const NOBODY = '00000000-0000-4000-8000-000000000000'
const ENGINE_17 = 'c2a4b9de-4a57-4f0e-9b61-7d3e5c8f1b17'

let world: World
beforeEach(() => {
  world = new World()
})

/** Calls a route as the pipeline does; answers the body, or status and message of a refusal. */
async function ask(method: string, path: string, body?: unknown, admin = true) {
  const match = find(method, `/v1.0/p1${path}`)
  if (!match) throw new Error(`no route ${method} ${path}`)
  try {
    const call: Call<unknown, Platform> = {
      deps: world.platform,
      method,
      params: match.params,
      query: {},
      body: match.route.body && validated(match.route.body, body ?? {}),
      project: 'p1',
      user: 'u1',
      admin,
      requestId: 'req-1',
      base: 'https://db.example.org',
      log: silentLog,
    }
    const reply = await match.route.handle(call as Call<never, Platform>)
    return { status: reply.status, ...Object(reply.body) }
  } catch (error) {
    const { status, message } = Object(error)
    return { status, message }
  }
}

const MANAGED = '/mgmt/datastore-versions'
const wanted = (more: object = {}) => ({
  version: {
    name: 'own',
    datastore_name: 'postgresql',
    datastore_manager: 'postgresql',
    image: '17',
    active: true,
    ...more,
  },
})
const managed = async () => (await ask('GET', MANAGED)).versions as Record<string, unknown>[]
const idOf = async (name: string) => String((await managed()).find(version => version['name'] === name)?.['id'])
const names = async (admin: boolean) => {
  const { datastores: all } = await ask('GET', '/datastores', undefined, admin)
  return all.map(({ name, versions }: { name: string; versions: { name: string }[] }) => [
    name,
    ...versions.map(version => version.name),
  ])
}

describe('what is there at first', () => {
  it('is every engine, seeded once, and shown in the fields of the reference', async () => {
    expect(await names(false)).toEqual([['postgresql', '15', '16', '17', '18.3', '18']])
    const { body, version } = (await allDatastores(world.platform))[0]!
    await allDatastores(world.platform)
    expect([body.defaultVersion, version]).toEqual([await idOf('18'), 1])
    expect(await ask('GET', `${MANAGED}/${ENGINE_17}`)).toEqual({
      status: 200,
      version: {
        id: ENGINE_17,
        name: '17',
        version: '17.10',
        datastore_id: postgresql.id,
        datastore_name: 'postgresql',
        datastore_manager: 'postgresql',
        image: ENGINE_17,
        image_tags: [''],
        packages: [''],
        active: true,
        registry_ext: null,
        repl_strategy: null,
        default: false,
      },
    })
  })

  it('grows by engines that come with a new release, but what an admin deleted stays away', async () => {
    const [item] = await allDatastores(world.platform)
    const { versions, seeded } = item!.body
    const without = (list: { id: string }[], name: string) => list.filter(({ id }) => id !== name)
    const old = { ...item!.body, versions: without(versions, ENGINE_17), seeded: seeded.filter(id => id !== ENGINE_17) }
    await world.store.transact([datastores.replace(item!, { ...old, versions: old.versions.slice(1) } as never)])
    expect(await names(false)).toEqual([['postgresql', '16', '18.3', '18', '17']])
    const [grown] = await allDatastores(world.platform)
    const gone = { ...grown!.body, versions: [], seeded: old.seeded, deleted: true }
    await world.store.transact([datastores.replace(grown!, gone)])
    expect((await allDatastores(world.platform))[0]!.body).toEqual(gone)
  })
})

describe('creating a version', () => {
  it('makes it, with its datastore, and gives it to who asks', async () => {
    expect(await ask('POST', MANAGED, wanted({ datastore_name: 'shopdb', default: true }))).toEqual({ status: 202 })
    const { manifest, version } = await chooseVersion(world.platform, { type: 'shopdb' })
    expect([manifest.name, manifest.manager, version]).toEqual([
      'shopdb',
      'postgresql',
      { id: await idOf('own'), name: 'own', active: true, version: '17.10', engine: '17' },
    ])
    // Rules of the engine that it stands for.
    expect(manifest.badLocale(undefined, 'PG_UNICODE_FAST')).toContain('PG_UNICODE_FAST')
    expect((await chooseVersion(world.platform, undefined)).version).toMatchObject({ name: '18', engine: '18' })
  })

  it('finds the image by id, name or tags', async () => {
    for (const [name, how, engine] of [
      ['a', { image: ENGINE_17 }, '17'],
      ['b', { image: '18.3' }, '18.3'],
      ['c', { image: undefined, image_tags: ['postgresql', '16.14'] }, '16'],
      ['d', { image: null, image_tags: ['postgresql'] }, '18'],
    ] as const) {
      expect(await ask('POST', MANAGED, wanted({ name, ...how }))).toEqual({ status: 202 })
      expect((await chooseVersion(world.platform, { version: name })).version.engine).toBe(engine)
    }
  })

  it.each([
    [{ image: undefined }, 400, 'Image must be specified.'],
    [{ image: '' }, 400, 'Image must be specified.'],
    [{ image: NOBODY }, 400, `Image ${NOBODY} cannot be found.`],
    [{ image: undefined, image_tags: ['mysql'] }, 400, 'Image mysql cannot be found.'],
    [{ image_tags: ['1', '2', '3', '4', '5', '6'] }, 400, /image_tags/],
    [{ datastore_manager: 'db2' }, 400, "Datastore manager 'db2' cannot be found."],
    [{ name: '17' }, 400, /already exists/],
    [{ name: '***' }, 400, /^Validation error: version\['name'\]/],
    [{ name: 'a\nb' }, 400, /name/],
    [{ active: undefined }, 400, /active/],
    [{ unknown: 1 }, 400, /unknown/],
  ])('refuses %j', async (more, status, message) => {
    expect(await ask('POST', MANAGED, wanted(more))).toEqual({
      status,
      message: typeof message === 'string' ? message : expect.stringMatching(message),
    })
    expect(await managed()).toHaveLength(5)
  })

  it('takes one name twice for different numbers, of which a create must then choose', async () => {
    await ask('POST', MANAGED, wanted({ version: '17-a' }))
    expect((await ask('POST', MANAGED, wanted({ version: '17-a' }))).message).toContain('already exists')
    expect(await ask('POST', MANAGED, wanted({ version: '17-b', image: '16' }))).toEqual({ status: 202 })
    await expect(chooseVersion(world.platform, { version: 'own' })).rejects.toThrow('Multiple datastore versions found')
    const { version } = await chooseVersion(world.platform, { version: 'own', version_number: '17-b' })
    expect([version.version, version.engine]).toEqual(['17-b', '16'])
  })
})

describe('changing a version', () => {
  const change = async (name: string, body?: unknown) => ask('PATCH', `${MANAGED}/${await idOf(name)}`, body)

  it('hides an inactive one from members and refuses it for creates', async () => {
    expect(await change('16', { active: false })).toEqual({ status: 202 })
    expect(await names(false)).toEqual([['postgresql', '15', '17', '18.3', '18']])
    expect(await names(true)).toEqual([['postgresql', '15', '16', '17', '18.3', '18']])
    await expect(chooseVersion(world.platform, { version: '16' })).rejects.toMatchObject({
      status: 400,
      message: "Datastore version '16' is not active.",
    })
    const path = '/datastores/postgresql/versions/16'
    expect((await ask('GET', path, undefined, false)).status).toBe(400)
    expect((await ask('GET', path)).version).toMatchObject({ active: false, version: '16.14' })
    await change('16', { active: true })
    expect((await ask('GET', path, undefined, false)).status).toBe(200)
  })

  it('moves the default, or takes it away', async () => {
    await change('17', { default: true })
    expect((await chooseVersion(world.platform, {})).version.name).toBe('17')
    await change('16', { default: false })
    expect((await chooseVersion(world.platform, {})).version.name).toBe('17')
    await change('17', { default: false })
    await expect(chooseVersion(world.platform, {})).rejects.toThrow(
      "Default version for datastore 'postgresql' not found.",
    )
  })

  it('moves the default datastore', async () => {
    await ask('POST', MANAGED, wanted({ datastore_name: 'shopdb', default: true, default_datastore: true }))
    expect((await chooseVersion(world.platform, {})).manifest.name).toBe('shopdb')
    await change('15', { default_datastore: true })
    expect((await chooseVersion(world.platform, {})).manifest.name).toBe('postgresql')
    await change('15', { default_datastore: false })
    await expect(chooseVersion(world.platform, {})).rejects.toMatchObject({ status: 400 })
  })

  it('changes name, image, packages and the rest, each alone', async () => {
    const id = await idOf('17')
    for (const [body, shown] of [
      [{ name: 'renamed' }, { name: 'renamed', version: '17.10' }],
      [{ image: '16' }, { image: '16', version: '16.14' }],
      [{ image_tags: ['15'] }, { image: '', image_tags: ['15'], version: '15.18' }],
      [{ packages: ['a', 'b'] }, { packages: ['a', 'b'] }],
      [
        { registry_ext: 'x', repl_strategy: 'y' },
        { registry_ext: 'x', repl_strategy: 'y' },
      ],
      [undefined, { name: 'renamed' }],
    ] as const) {
      expect(await ask('PATCH', `${MANAGED}/${id}`, body)).toEqual({ status: 202 })
      expect((await ask('GET', `${MANAGED}/${id}`)).version).toMatchObject(shown)
    }
    expect((await ask('GET', '/datastores/postgresql/versions/renamed')).version).toMatchObject({ packages: 'a,b' })
  })

  it.each([
    [{ image: NOBODY }, `Image ${NOBODY} cannot be found.`],
    [{ datastore_manager: 'db2' }, "Datastore manager 'db2' cannot be found."],
    [{ version: { active: false } }, /Validation error/],
    [{ active: 'yes' }, /Validation error: active/],
  ])('refuses %j', async (body, message) => {
    const before = await managed()
    expect(await change('17', body)).toEqual({ status: 400, message: expect.stringMatching(message) })
    expect(await managed()).toEqual(before)
  })

  it('refuses a name that is taken for the same number, and a version that is not there', async () => {
    await ask('POST', MANAGED, wanted())
    expect((await change('own', { name: '17' })).message).toContain('already exists')
    for (const id of [NOBODY, '17', '__proto__']) {
      const message = `Datastore version '${id}' cannot be found.`
      for (const method of ['GET', 'PATCH', 'DELETE'])
        expect(await ask(method, `${MANAGED}/${id}`)).toEqual({ status: 400, message })
    }
  })
})

describe('deleting', () => {
  const remove = async (name: string) => ask('DELETE', `${MANAGED}/${await idOf(name)}`)

  it('takes a version away for good, also as the default', async () => {
    expect(await remove('18')).toEqual({ status: 202 })
    expect(await names(true)).toEqual([['postgresql', '15', '16', '17', '18.3']])
    await expect(chooseVersion(world.platform, {})).rejects.toThrow('Default version')
  })

  it('refuses a version that an instance of any project was made of', async () => {
    const datastore = {
      type: 'postgresql',
      manager: 'postgresql',
      versionId: ENGINE_17,
      versionName: '17',
      version: '17.10',
    }
    const body = { id: NOBODY, project: 'p9', datastore } as never
    await world.store.transact([instances.create('p9', NOBODY, body)])
    expect(await remove('17')).toEqual({ status: 400, message: 'Datastore version is in use by instance.' })
    expect(await remove('16')).toEqual({ status: 202 })
    const item = await instances.get(world.store, 'p9', NOBODY)
    await world.store.transact([instances.remove(item!)])
    expect(await remove('17')).toEqual({ status: 202 })
  })

  it('takes a datastore away once it has no versions, and seeds it never again', async () => {
    expect(await ask('DELETE', '/datastores/nosql')).toMatchObject({ status: 404 })
    expect(await ask('DELETE', '/datastores/postgresql')).toMatchObject({ status: 400 })
    for (const name of ['15', '16', '17', '18.3', '18']) await remove(name)
    // No active version: members do not see it in the list.
    expect([await names(true), await names(false)]).toEqual([[['postgresql']], []])
    expect(await ask('DELETE', `/datastores/${postgresql.id}`)).toEqual({ status: 202 })
    expect(await names(true)).toEqual([])
    expect(await ask('GET', '/datastores/postgresql')).toMatchObject({ status: 404 })
    await expect(chooseVersion(world.platform, {})).rejects.toMatchObject({ status: 400 })
    // Its old id names nothing any more; its name is free.
    await ask('POST', MANAGED, wanted({ datastore_name: postgresql.id }))
    await ask('POST', MANAGED, wanted())
    expect(await names(true)).toEqual([
      [postgresql.id, 'own'],
      ['postgresql', 'own'],
    ])
  })

  it('leaves nothing of a datastore that an admin made', async () => {
    await ask('POST', MANAGED, wanted({ datastore_name: 'shopdb' }))
    await remove('own')
    expect(await ask('DELETE', '/datastores/shopdb')).toEqual({ status: 202 })
    expect((await allDatastores(world.platform)).map(({ body }) => body.name)).toEqual(['postgresql'])
  })
})

it('reads a datastore by one query, whoever asks', async () => {
  await allDatastores(world.platform)
  let reads = 0
  const { list } = world.platform.store
  world.platform.store.list = (...range) => {
    reads += 1
    return list(...range)
  }
  await ask('GET', '/datastores')
  await ask('GET', '/datastores/postgresql/versions/18')
  await chooseVersion(world.platform, {})
  expect(reads).toBe(3)
})

it('knows managers and engines by what the code brings', () => {
  expect(() => manifestOf('db2')).toThrow("Datastore manager 'db2' cannot be found.")
  const fast = (engine?: string) =>
    manifestOf('postgresql', engine).badLocale(undefined, 'PG_UNICODE_FAST') === undefined
  expect([fast('15'), fast('17'), fast('18.3'), fast('18'), fast()]).toEqual([false, false, true, true, true])
  expect(engineOf({ manager: 'db2', image: '18', imageTags: [] })).toBeUndefined()
})
