import { beforeEach, describe, expect, it } from '@jest/globals'
import { chooseVersion } from '../../../lib/model/catalog.ts'
import { DATASTORES } from '../../../lib/wiring/common.ts'
import { World } from '../../sim/world.ts'
import { catalogApi, MANAGED, NO_SUCH_ID, newVersion } from '../api.ts'

let world: World
let api: ReturnType<typeof catalogApi>
beforeEach(() => {
  world = new World(1, { datastores: DATASTORES })
  api = catalogApi(world.platform)
})

const change = async (name: string, body?: unknown) =>
  api.send('PATCH', `${MANAGED}/${await api.versionId(name)}`, body)

describe('changeVersion', () => {
  it('hides an inactive version from members, and refuses it in creates', async () => {
    expect(await change('16', { active: false })).toEqual({ status: 202 })
    expect(await api.datastoreNames(false)).toEqual([['postgresql', '15', '17', '18.3', '18']])
    expect(await api.datastoreNames(true)).toEqual([['postgresql', '15', '16', '17', '18.3', '18']])
    await expect(chooseVersion(world.platform, { version: '16' })).rejects.toMatchObject({
      status: 400,
      message: "Datastore version '16' is not active.",
    })
    const path = '/datastores/postgresql/versions/16'
    expect((await api.send('GET', path, undefined, false)).status).toBe(400)
    expect((await api.send('GET', path)).version).toMatchObject({ active: false, version: '16.14' })
    await change('16', { active: true })
    expect((await api.send('GET', path, undefined, false)).status).toBe(200)
  })

  it('moves or removes the default version', async () => {
    await change('17', { default: true })
    expect((await chooseVersion(world.platform, {})).version.name).toBe('17')
    await change('16', { default: false })
    expect((await chooseVersion(world.platform, {})).version.name).toBe('17')
    await change('17', { default: false })
    await expect(chooseVersion(world.platform, {})).rejects.toThrow(
      "Default version for datastore 'postgresql' not found.",
    )
  })

  it('moves or removes the default datastore', async () => {
    const body = newVersion({ datastore_name: 'shopdb', default: true, default_datastore: true })
    await api.send('POST', MANAGED, body)
    expect((await chooseVersion(world.platform, {})).manifest.name).toBe('shopdb')
    await change('15', { default_datastore: true })
    expect((await chooseVersion(world.platform, {})).manifest.name).toBe('postgresql')
    await change('15', { default_datastore: false })
    await expect(chooseVersion(world.platform, {})).rejects.toMatchObject({ status: 400 })
  })

  it('changes only the fields in the body', async () => {
    const id = await api.versionId('17')
    for (const [body, expected] of [
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
      expect(await api.send('PATCH', `${MANAGED}/${id}`, body)).toEqual({ status: 202 })
      expect((await api.send('GET', `${MANAGED}/${id}`)).version).toMatchObject(expected)
    }
    const renamed = await api.send('GET', '/datastores/postgresql/versions/renamed')
    expect(renamed.version).toMatchObject({ packages: 'a,b' })
  })

  it.each([
    [{ image: NO_SUCH_ID }, `Image ${NO_SUCH_ID} cannot be found.`],
    [{ datastore_manager: 'db2' }, "Datastore manager 'db2' cannot be found."],
    [{ version: { active: false } }, /Validation error/],
    [{ active: 'yes' }, /Validation error: active/],
  ])('refuses %j', async (body, message) => {
    const before = await api.managedVersions()
    expect(await change('17', body)).toEqual({ status: 400, message: expect.stringMatching(message) })
    expect(await api.managedVersions()).toEqual(before)
  })

  it('refuses a name that another version of the same number has, and an unknown version', async () => {
    await api.send('POST', MANAGED, newVersion())
    expect((await change('own', { name: '17' })).message).toContain('already exists')
    for (const id of [NO_SUCH_ID, '17', '__proto__']) {
      const message = `Datastore version '${id}' cannot be found.`
      for (const method of ['GET', 'PATCH', 'DELETE'])
        expect(await api.send(method, `${MANAGED}/${id}`)).toEqual({ status: 400, message })
    }
  })
})
