import { beforeEach, describe, expect, it } from '@jest/globals'
import { postgresqlManifest } from '../../../lib/datastores/postgresql/manifest.ts'
import { allDatastores, chooseVersion } from '../../../lib/model/catalog.ts'
import { instances } from '../../../lib/model/instance.ts'
import { DATASTORES } from '../../../lib/wiring/common.ts'
import { World } from '../../sim/world.ts'
import { catalogApi, ENGINE_17, MANAGED, NO_SUCH_ID, newVersion } from '../api.ts'

let world: World
let api: ReturnType<typeof catalogApi>
beforeEach(() => {
  world = new World(1, { datastores: DATASTORES })
  api = catalogApi(world.platform)
})

const deleteVersion = async (name: string) => api.send('DELETE', `${MANAGED}/${await api.versionId(name)}`)

describe('deleteVersion', () => {
  it('deletes a version for good, even the default one', async () => {
    expect(await deleteVersion('18')).toEqual({ status: 202 })
    expect(await api.datastoreNames(true)).toEqual([['postgresql', '15', '16', '17', '18.3']])
    await expect(chooseVersion(world.platform, {})).rejects.toThrow('Default version')
  })

  it('refuses a version that an instance of any project has', async () => {
    const datastore = {
      type: 'postgresql',
      manager: 'postgresql',
      versionId: ENGINE_17,
      versionName: '17',
      version: '17.10',
    }
    const body = { id: NO_SUCH_ID, project: 'p9', datastore } as never
    await world.store.transact([instances.create('p9', NO_SUCH_ID, body)])
    expect(await deleteVersion('17')).toEqual({ status: 400, message: 'Datastore version is in use by instance.' })
    expect(await deleteVersion('16')).toEqual({ status: 202 })
    const item = await instances.get(world.store, 'p9', NO_SUCH_ID)
    await world.store.transact([instances.remove(item!)])
    expect(await deleteVersion('17')).toEqual({ status: 202 })
  })
})

describe('deleteDatastore', () => {
  it('deletes a datastore once it has no versions, and it is not seeded again', async () => {
    expect(await api.send('DELETE', '/datastores/nosql')).toMatchObject({ status: 404 })
    expect(await api.send('DELETE', '/datastores/postgresql')).toMatchObject({ status: 400 })
    for (const name of ['15', '16', '17', '18.3', '18']) await deleteVersion(name)
    // Members do not see a datastore without active versions.
    expect([await api.datastoreNames(true), await api.datastoreNames(false)]).toEqual([[['postgresql']], []])
    expect(await api.send('DELETE', `/datastores/${postgresqlManifest.id}`)).toEqual({ status: 202 })
    expect(await api.datastoreNames(true)).toEqual([])
    expect(await api.send('GET', '/datastores/postgresql')).toMatchObject({ status: 404 })
    await expect(chooseVersion(world.platform, {})).rejects.toMatchObject({ status: 400 })
    // Its id means nothing any more, and its name is free.
    await api.send('POST', MANAGED, newVersion({ datastore_name: postgresqlManifest.id }))
    await api.send('POST', MANAGED, newVersion())
    expect(await api.datastoreNames(true)).toEqual([
      [postgresqlManifest.id, 'own'],
      ['postgresql', 'own'],
    ])
  })

  it('leaves no record of a datastore that an admin created', async () => {
    await api.send('POST', MANAGED, newVersion({ datastore_name: 'shopdb' }))
    await deleteVersion('own')
    expect(await api.send('DELETE', '/datastores/shopdb')).toEqual({ status: 202 })
    expect((await allDatastores(world.platform)).map(({ body }) => body.name)).toEqual(['postgresql'])
  })
})
