import { describe, expect, it } from '@jest/globals'
import { scenarios, theInstance } from '../laws/scenarios.ts'
import { type ApiRequest, sendRequest } from '../sim/api.ts'
import { World } from '../sim/world.ts'

const XML = { 'content-type': 'application/xml' }
const ADMIN = { roles: 'admin' }
const DATASTORES = '/mgmt/datastore-versions'

/** A world, and a function that calls the API in it. */
async function setUp() {
  const world = await new World().open()
  const call = async (method: string, path: string, request: Partial<ApiRequest> = {}) => {
    const response = await sendRequest(world, { method, path, ...request })
    const text = response?.text ?? ''
    return { status: response?.status, text, body: text.startsWith('{') ? JSON.parse(text) : undefined }
  }
  return { world, call }
}

describe('the API', () => {
  it('answers a member with 401 on management routes, and with 403 on other admin routes', async () => {
    const { call } = await setUp()
    const { body } = await call('GET', '/datastores')
    const [{ id }] = body.datastores
    const refused = await call('DELETE', `/datastores/${id}`)
    expect([refused.status, refused.body.forbidden.code]).toEqual([403, 403])
    const managed = await call('GET', DATASTORES)
    expect([managed.status, managed.body.unauthorized.code]).toEqual([401, 401])
  })

  it('leaves a value unchanged that is None in XML, also in a quota', async () => {
    const { call } = await setUp()
    const body = '<quotas instances="3" ram="None"/>'
    const changed = await call('PUT', '/mgmt/quotas/p2', { ...ADMIN, body, headers: XML })
    expect([changed.status, changed.text]).toEqual([200, expect.stringContaining('3')])
    const { body: after } = await call('GET', '/mgmt/quotas/p2', ADMIN)
    const before = await call('GET', '/mgmt/quotas/p3', ADMIN)
    const limit = (rows: { resource: string; limit: number }[], name: string) =>
      rows.find(({ resource }) => resource === name)?.limit
    expect(limit(after.quotas, 'instances')).toBe(3)
    expect(limit(after.quotas, 'ram')).toBe(limit(before.body.quotas, 'ram'))
  })

  it('accepts the extension .json where Trove does, and None as the value of an action', async () => {
    const { world, call } = await setUp()
    expect((await call('GET', `${DATASTORES}.json`, ADMIN)).status).toBe(200)
    await world.request(platform => scenarios.create_instance.begin(platform))
    await world.until('instance', () => scenarios.create_instance.done(world))
    const id = (await theInstance(world))?.id
    const acted = await call('POST', `/mgmt/instances/${id}/action.json`, { ...ADMIN, body: { stop: {} } })
    expect(acted.status).toBe(202)
    await world.until('end', async () => (await theInstance(world))?.operation === undefined)
    // None in XML is null in JSON.
    const restart = { body: '<restart>None</restart>', headers: XML }
    expect((await call('POST', `/instances/${id}/action`, restart)).status).toBe(202)
  })

  it('refuses to delete a datastore version that an instance is being upgraded to', async () => {
    const { world, call } = await setUp()
    await scenarios.upgrade.before(world)
    const { body } = await call('GET', DATASTORES, ADMIN)
    const target = body.versions.find(({ name }: { name: string }) => name === '18').id
    await world.request(platform => scenarios.upgrade.begin(platform))
    const refused = await call('DELETE', `${DATASTORES}/${target}`, ADMIN)
    expect([refused.status, refused.body?.badRequest]).toEqual([
      400,
      { code: 400, message: 'Datastore version is in use by instance.' },
    ])
    await world.until('upgrade', () => scenarios.upgrade.done(world))
  })

  it.each(['/instances', '/mgmt/instances', '/audit', '/mgmt/instances?deleted=true'])(
    'refuses a marker on %s that is too long for a store’s key',
    async path => {
      const { call } = await setUp()
      const listAfter = (length: number) => call('GET', `${path}${path.includes('?') ? '&' : '?'}marker=${'m'.repeat(length)}`, ADMIN) // biome-ignore format: one line
      expect((await listAfter(512)).status).toBe(200)
      const refused = await listAfter(513)
      expect([refused.status, refused.body.badRequest?.code]).toEqual([400, 400])
    },
  )
})
