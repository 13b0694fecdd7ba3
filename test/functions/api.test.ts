import { describe, expect, it } from '@jest/globals'
import { scenarios, theInstance } from '../laws/scenarios.ts'
import { asked, type Sent } from '../sim/api.ts'
import { World } from '../sim/world.ts'

const XML = { 'content-type': 'application/xml' }
const ADMIN = { roles: 'admin' }
const DATASTORES = '/mgmt/datastore-versions'

/** Asks, as often as told, and answers status and body. */
async function setUp() {
  const world = await new World().open()
  const ask = async (method: string, path: string, more: Partial<Sent> = {}) => {
    const answer = await asked(world, { method, path, ...more })
    const text = answer?.text ?? ''
    return { status: answer?.status, text, body: text.startsWith('{') ? JSON.parse(text) : undefined }
  }
  return { world, ask }
}

describe('the API', () => {
  it('says 401 to a member on routes of management, and 403 on others that are for admins', async () => {
    const { ask } = await setUp()
    const { body: known } = await ask('GET', '/datastores')
    const [{ id }] = known.datastores
    const refused = await ask('DELETE', `/datastores/${id}`)
    expect([refused.status, refused.body.forbidden.code]).toEqual([403, 403])
    const managed = await ask('GET', DATASTORES)
    expect([managed.status, managed.body.unauthorized.code]).toEqual([401, 401])
  })

  it('takes None in XML for what is left as it is, in a quota too', async () => {
    const { ask } = await setUp()
    const body = '<quotas instances="3" ram="None"/>'
    const changed = await ask('PUT', '/mgmt/quotas/p2', { ...ADMIN, body, headers: XML })
    expect([changed.status, changed.text]).toEqual([200, expect.stringContaining('3')])
    const { body: shown } = await ask('GET', '/mgmt/quotas/p2', ADMIN)
    const before = await ask('GET', '/mgmt/quotas/p3', ADMIN)
    const limit = (rows: { resource: string; limit: number }[], name: string) =>
      rows.find(({ resource }) => resource === name)?.limit
    expect(limit(shown.quotas, 'instances')).toBe(3)
    expect(limit(shown.quotas, 'ram')).toBe(limit(before.body.quotas, 'ram'))
  })

  it('takes .json where Trove has an extension, and None for no value in an action', async () => {
    const { world, ask } = await setUp()
    expect((await ask('GET', `${DATASTORES}.json`, ADMIN)).status).toBe(200)
    await world.request(platform => scenarios.create_instance.begin(platform))
    await world.until('instance', () => scenarios.create_instance.done(world))
    const id = (await theInstance(world))?.id
    const acted = await ask('POST', `/mgmt/instances/${id}/action.json`, { ...ADMIN, body: { stop: {} } })
    expect(acted.status).toBe(202)
    await world.until('end', async () => (await theInstance(world))?.operation === undefined)
    // As null in JSON.
    const restart = { body: '<restart>None</restart>', headers: XML }
    expect((await ask('POST', `/instances/${id}/action`, restart)).status).toBe(202)
  })

  it('deletes no datastore version that an instance is being upgraded to', async () => {
    const { world, ask } = await setUp()
    await scenarios.upgrade.before(world)
    const { body } = await ask('GET', DATASTORES, ADMIN)
    const target = body.versions.find(({ name }: { name: string }) => name === '18').id
    await world.request(platform => scenarios.upgrade.begin(platform))
    const refused = await ask('DELETE', `${DATASTORES}/${target}`, ADMIN)
    expect([refused.status, refused.body?.badRequest]).toEqual([
      400,
      { code: 400, message: 'Datastore version is in use by instance.' },
    ])
    await world.until('upgrade', () => scenarios.upgrade.done(world))
  })

  it.each(['/instances', '/mgmt/instances', '/audit', '/mgmt/instances?deleted=true'])(
    'refuses a marker on %s that is too long for a key of a store',
    async path => {
      const { ask } = await setUp()
      const marked = (length: number) => ask('GET', `${path}${path.includes('?') ? '&' : '?'}marker=${'m'.repeat(length)}`, ADMIN) // biome-ignore format: one line
      expect((await marked(512)).status).toBe(200)
      const refused = await marked(513)
      expect([refused.status, refused.body.badRequest?.code]).toEqual([400, 400])
    },
  )
})
