import { beforeEach, describe, expect, it } from '@jest/globals'
import { chooseVersion } from '../../../lib/model/catalog.ts'
import { DATASTORES } from '../../../lib/wiring/common.ts'
import { World } from '../../sim/world.ts'
import { catalogApi, ENGINE_17, MANAGED, NO_SUCH_ID, newVersion } from '../api.ts'

let world: World
let api: ReturnType<typeof catalogApi>
beforeEach(() => {
  world = new World(1, { datastores: DATASTORES })
  api = catalogApi(world.platform)
})

describe('createVersion', () => {
  it('creates the version and its datastore, which creates can then name', async () => {
    const body = newVersion({ datastore_name: 'shopdb', default: true })
    expect(await api.send('POST', MANAGED, body)).toEqual({ status: 202 })
    const { manifest, version } = await chooseVersion(world.platform, { type: 'shopdb' })
    expect([manifest.name, manifest.manager, version]).toEqual([
      'shopdb',
      'postgresql',
      { id: await api.versionId('own'), name: 'own', active: true, version: '17.10', engine: '17' },
    ])
    // The rules are those of the engine.
    expect(manifest.can.databases?.localeProblem(undefined, 'PG_UNICODE_FAST')).toContain('PG_UNICODE_FAST')
    expect((await chooseVersion(world.platform, undefined)).version).toMatchObject({ name: '18', engine: '18' })
  })

  it('finds the image by id, name or tags', async () => {
    for (const [name, image, engine] of [
      ['a', { image: ENGINE_17 }, '17'],
      ['b', { image: '18.3' }, '18.3'],
      ['c', { image: undefined, image_tags: ['postgresql', '16.14'] }, '16'],
      ['d', { image: null, image_tags: ['postgresql'] }, '18'],
    ] as const) {
      expect(await api.send('POST', MANAGED, newVersion({ name, ...image }))).toEqual({ status: 202 })
      expect((await chooseVersion(world.platform, { version: name })).version.engine).toBe(engine)
    }
  })

  it.each([
    [{ image: undefined }, 400, 'Image must be specified.'],
    [{ image: '' }, 400, 'Image must be specified.'],
    [{ image: NO_SUCH_ID }, 400, `Image ${NO_SUCH_ID} cannot be found.`],
    [{ image: undefined, image_tags: ['mysql'] }, 400, 'Image mysql cannot be found.'],
    [{ image_tags: ['1', '2', '3', '4', '5', '6'] }, 400, /image_tags/],
    [{ datastore_manager: 'db2' }, 400, "Datastore manager 'db2' cannot be found."],
    [{ name: '17' }, 400, /already exists/],
    [{ name: '***' }, 400, /^Validation error: version\['name'\]/],
    [{ name: 'a\nb' }, 400, /name/],
    [{ active: undefined }, 400, /active/],
    [{ unknown: 1 }, 400, /unknown/],
  ])('refuses %j', async (fields, status, message) => {
    expect(await api.send('POST', MANAGED, newVersion(fields))).toEqual({
      status,
      message: typeof message === 'string' ? message : expect.stringMatching(message),
    })
    expect(await api.managedVersions()).toHaveLength(5)
  })

  it('accepts a name twice with different numbers, between which a create must choose', async () => {
    await api.send('POST', MANAGED, newVersion({ version: '17-a' }))
    const repeated = await api.send('POST', MANAGED, newVersion({ version: '17-a' }))
    expect(repeated.message).toContain('already exists')
    expect(await api.send('POST', MANAGED, newVersion({ version: '17-b', image: '16' }))).toEqual({ status: 202 })
    await expect(chooseVersion(world.platform, { version: 'own' })).rejects.toThrow('Multiple datastore versions found')
    const { version } = await chooseVersion(world.platform, { version: 'own', version_number: '17-b' })
    expect([version.version, version.engine]).toEqual(['17-b', '16'])
  })
})
