import { beforeEach, describe, expect, it } from '@jest/globals'
import { postgresqlManifest } from '../../lib/datastores/postgresql/manifest.ts'
import { allDatastores, chooseVersion, engineOfVersion, manifestOf } from '../../lib/model/catalog.ts'
import { datastores } from '../../lib/model/datastore.ts'
import { DATASTORES } from '../../lib/wiring/common.ts'
import { catalogApi, ENGINE_17, MANAGED } from '../catalog/api.ts'
import { World } from '../sim/world.ts'

let world: World
let api: ReturnType<typeof catalogApi>
beforeEach(() => {
  world = new World(1, { datastores: DATASTORES })
  api = catalogApi(world.platform)
})

describe('the catalog', () => {
  it('has every engine at first, seeded once, with the fields of the reference', async () => {
    expect(await api.datastoreNames(false)).toEqual([['postgresql', '15', '16', '17', '18.3', '18']])
    const { body, version } = (await allDatastores(world.platform))[0]!
    await allDatastores(world.platform)
    expect([body.defaultVersion, version]).toEqual([await api.versionId('18'), 1])
    expect(await api.send('GET', `${MANAGED}/${ENGINE_17}`)).toEqual({
      status: 200,
      version: {
        id: ENGINE_17,
        name: '17',
        version: '17.10',
        datastore_id: postgresqlManifest.id,
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

  it('gets the engines of a new release, but none that an admin deleted', async () => {
    const [item] = await allDatastores(world.platform)
    const { versions, seeded } = item!.body
    const without = (list: { id: string }[], name: string) => list.filter(({ id }) => id !== name)
    const old = { ...item!.body, versions: without(versions, ENGINE_17), seeded: seeded.filter(id => id !== ENGINE_17) }
    await world.store.transact([datastores.replace(item!, { ...old, versions: old.versions.slice(1) } as never)])
    expect(await api.datastoreNames(false)).toEqual([['postgresql', '16', '18.3', '18', '17']])
    const [grown] = await allDatastores(world.platform)
    const deleted = { ...grown!.body, versions: [], seeded: old.seeded, deleted: true }
    await world.store.transact([datastores.replace(grown!, deleted)])
    expect((await allDatastores(world.platform))[0]!.body).toEqual(deleted)
  })

  it('is read with one query for each request', async () => {
    await allDatastores(world.platform)
    let reads = 0
    const { list } = world.platform.store
    world.platform.store.list = (...range) => {
      reads += 1
      return list(...range)
    }
    await api.send('GET', '/datastores')
    await api.send('GET', '/datastores/postgresql/versions/18')
    await chooseVersion(world.platform, {})
    expect(reads).toBe(3)
  })

  it('knows only the managers and engines that the code has', () => {
    expect(() => manifestOf(DATASTORES, 'db2')).toThrow("Datastore manager 'db2' cannot be found.")
    const hasFastCollation = (engine?: string) =>
      manifestOf(DATASTORES, 'postgresql', engine).can.databases?.localeProblem(undefined, 'PG_UNICODE_FAST') ===
      undefined
    expect(['15', '17', '18.3', '18', undefined].map(hasFastCollation)).toEqual([false, false, true, true, true])
    expect(engineOfVersion(DATASTORES, { manager: 'db2', image: '18', imageTags: [] })).toBeUndefined()
  })
})
