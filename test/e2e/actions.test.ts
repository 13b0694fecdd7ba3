import { beforeAll, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import { endpointOf, faultOf, query, refusal } from './api-helpers.ts'
import { ANN, CART, sharedCloud } from './cloud.ts'
import { type Answer, createInstance, until, waitUntilActive } from './coffer.ts'
import { withHostPaused } from './fault-injection.ts'
import { withDatabaseFrozen } from './freeze-database.ts'

const { coffer, demo, admin } = sharedCloud()
let shop: Answer['body']
let at: string
beforeAll(async () => {
  shop = await createInstance(demo, CART)
  at = `/instances/${shop.id}`
  await query(shop, ANN, 'CREATE TABLE items (id int); INSERT INTO items VALUES (7)')
})

const act = (body: unknown) => demo.call('POST', `${at}/action`, body)
const actAsAdmin = (body: unknown) => admin.call('POST', `/mgmt/instances/${shop.id}/action`, body)
const show = async () => (await demo.call('GET', at)).body.instance
const rows = async () => await query(shop, ANN, 'SELECT id FROM items')
const startedAt = async () => (await query(shop, ANN, 'SELECT pg_postmaster_start_time()::text AS at'))[0]?.['at']
const setting = async (name: string) => (await query(shop, ANN, `SHOW ${name}`))[0]?.[name]

/** Expects the request to be accepted, and returns the instance once the operation is done and it serves. */
async function accepted(request: Promise<Answer>): Promise<Answer['body']> {
  const answer = await request
  expect([answer.status, answer.text]).toEqual([202, ''])
  return waitUntilActive(demo, shop.id)
}

/** The latest operation's outcome. */
async function lastOperation() {
  const [latest] = (await demo.call('GET', `${at}/operations`)).body.operations
  return latest
}

describe('restart', () => {
  it('restarts the database, and keeps its data', async () => {
    const before = await startedAt()
    await withDatabaseFrozen(coffer, shop, async () => {
      expect((await act({ restart: {} })).status).toBe(202)
      expect((await show()).status).toBe('REBOOT')
    })
    await waitUntilActive(demo, shop.id)
    expect(await startedAt()).not.toBe(before)
    expect(await rows()).toEqual([{ id: 7 }])
    expect(await lastOperation()).toMatchObject({ name: 'restart', status: 'DONE', percent: 100 })
  })

  it('accepts null, which openstacksdk sends, and refuses everything else', async () => {
    await accepted(act({ restart: null }))
    for (const body of [{ restart: 1 }, { restart: { hard: true } }, { restart: [] }]) {
      expect(faultOf(await act(body)).code).toBe(400)
    }
  })

  it('is refused while another action runs', async () => {
    await withDatabaseFrozen(coffer, shop, async () => {
      expect((await act({ restart: {} })).status).toBe(202)
      for (const body of [{ restart: {} }, { resize: { volume: { size: 5 } } }, { resize: { flavorRef: 2 } }]) {
        expect(await refusal(act(body))).toBe(
          `422 Instance ${shop.id} is not currently available for an action to be performed (task status was REBOOTING).`,
        )
      }
    })
    await waitUntilActive(demo, shop.id)
  })
})

describe('resize of the volume', () => {
  it('grows it within the limits, while sessions go on', async () => {
    expect(faultOf(await act({ resize: { volume: { size: 1 } } })).code).toBe(400)
    expect(faultOf(await act({ resize: { volume: { size: 11 } } })).code).toBe(413)
    for (const size of ['x', 0, -1, 1.5, null, '2 GB']) {
      expect(faultOf(await act({ resize: { volume: { size } } })).code).toBe(400)
    }
    const client = new pg.Client({ ...endpointOf(shop), ...ANN })
    await client.connect()
    const { volume } = await accepted(act({ resize: { volume: { size: '2' } } }))
    expect(volume.size).toBe(2)
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    await client.end()
    expect((await accepted(act({ resize: { volume: 3 } }))).volume.size).toBe(3)
  })
})

describe('resize to another flavor', () => {
  it('gives the database settings of the new flavor', async () => {
    const before = Number(await setting('max_connections'))
    const { flavor } = await accepted(act({ resize: { flavorRef: '3' } }))
    expect(flavor.id).toBe('3')
    expect(Number(await setting('max_connections'))).toBe(before * 4)
    expect(await rows()).toEqual([{ id: 7 }])
  })

  it('is refused for the same flavor, an unknown one, and together with a volume', async () => {
    expect(faultOf(await act({ resize: { flavorRef: 3 } })).code).toBe(400)
    expect(faultOf(await act({ resize: { flavorRef: 'nothing' } })).code).toBe(400)
    expect(faultOf(await act({ resize: { flavorRef: 1, volume: { size: 4 } } })).code).toBe(400)
    expect(faultOf(await act({ resize: {} })).code).toBe(400)
  })
})

describe('access', () => {
  const put = (instance: unknown) => demo.call('PUT', at, { instance })

  it('is enforced by the database: other networks are refused, and their sessions end', async () => {
    const client = new pg.Client({ ...endpointOf(shop), ...ANN })
    const ended = new Promise(resolve => client.on('error', resolve))
    await client.connect()
    const closed = await accepted(put({ access: { is_public: true, allowed_cidrs: ['10.0.0.0/8', '192.0.2.7'] } }))
    expect(closed.access).toEqual({ is_public: true, allowed_cidrs: ['10.0.0.0/8', '192.0.2.7'] })
    expect(closed.addresses.map(({ type }: { type: string }) => type)).toEqual(['private', 'public'])
    await expect(query(shop, ANN, 'SELECT 1')).rejects.toThrow(/pg_hba/)
    await ended
    // Its agent still connects.
    expect((await demo.call('GET', `${at}/users`)).body.users).toHaveLength(1)

    const open = await accepted(put({ access: { is_public: false, allowed_cidrs: ['127.0.0.0/8'] } }))
    expect(open.addresses.map(({ type }: { type: string }) => type)).toEqual(['private'])
    expect(await rows()).toEqual([{ id: 7 }])
  })

  it('survives restarts, and can be set when an instance is created', async () => {
    await accepted(put({ access: { allowed_cidrs: ['10.0.0.0/8'] } }))
    await accepted(act({ restart: {} }))
    await expect(query(shop, ANN, 'SELECT 1')).rejects.toThrow(/pg_hba/)
    await accepted(put({ access: { allowed_cidrs: [] } }))
    expect(await rows()).toEqual([{ id: 7 }])

    const closed = await createInstance(demo, {
      ...CART,
      access: { is_public: true, allowed_cidrs: ['192.0.2.0/24'] },
    })
    await expect(query(closed, ANN, 'SELECT 1')).rejects.toThrow(/pg_hba/)
    expect((await demo.call('DELETE', `/instances/${closed.id}`)).status).toBe(202)
  })

  it('is refused with invalid networks', async () => {
    for (const access of [
      { allowed_cidrs: ['::1/128'] },
      { allowed_cidrs: ['10.0.0.0/33'] },
      { allowed_cidrs: ['all'] },
      { allowed_cidrs: '10.0.0.0/8' },
      { is_public: 'maybe' },
      [],
    ]) {
      expect(faultOf(await put({ access })).code).toBe(400)
    }
  })
})

describe('PUT and PATCH', () => {
  it('rename an instance', async () => {
    expect((await demo.call('PUT', at, { instance: { name: 'renamed' } })).status).toBe(202)
    expect((await show()).name).toBe('renamed')
    expect((await demo.call('PATCH', at, { instance: { name: 'shop' } })).status).toBe(202)
    expect((await show()).name).toBe('shop')
  })

  it('refuse unknown keys, two changes at once, and resources that do not exist', async () => {
    const missing = '00000000-0000-4000-8000-000000000000'
    const refused: [string, unknown, number][] = [
      ['PUT', { instance: { nothing: 1 } }, 400],
      ['PUT', { instance: { name: '' } }, 400],
      ['PUT', { instance: { datastore_version: '18', access: { is_public: true } } }, 400],
      ['PUT', { instance: { datastore_version: 'nothing' } }, 400],
      ['PUT', { instance: { datastore_version: '18' } }, 400],
      ['PUT', { instance: { replica_of: null } }, 400],
      ['PUT', { instance: { configuration: missing } }, 404],
      ['PATCH', { instance: { slave_of: '' } }, 400],
      ['PATCH', { instance: { access: { is_public: true } } }, 400],
      ['PUT', {}, 400],
    ]
    for (const [method, body, code] of refused) {
      expect([body, faultOf(await demo.call(method, at, body)).code]).toEqual([body, code])
    }
    expect((await demo.call('PUT', at, { instance: {} })).status).toBe(202)
    expect((await demo.call('PUT', at, { instance: { configuration: null } })).status).toBe(202)
  })
})

describe('upgrade', () => {
  it('changes the engine and keeps the data, within the major version and never back', async () => {
    const instance = await createInstance(demo, {
      datastore: { type: 'postgresql', version: '18.3' },
      ...CART,
    })
    const version = async () => (await query(instance, ANN, 'SHOW server_version'))[0]?.['server_version']
    await query(instance, ANN, 'CREATE TABLE items (id int); INSERT INTO items VALUES (8)')
    expect(await version()).toBe('18.3')
    const path = `/instances/${instance.id}`
    const refused = await demo.call('PATCH', path, { instance: { datastore_version: '17' } })
    expect(faultOf(refused)).toMatchObject({ code: 400, message: expect.stringContaining('major version') })
    await withDatabaseFrozen(coffer, instance, async () => {
      expect((await demo.call('PATCH', path, { instance: { datastore_version: '18' } })).status).toBe(202)
      expect((await demo.call('GET', path)).body.instance.status).toBe('UPGRADE')
    })
    const upgraded = await waitUntilActive(demo, instance.id)
    expect(upgraded.datastore).toMatchObject({ version: '18', version_number: '18.4' })
    expect(await version()).toBe('18.4')
    expect(await query(instance, ANN, 'SELECT id FROM items')).toEqual([{ id: 8 }])
    expect(faultOf(await demo.call('PUT', path, { instance: { datastore_version: '18.3' } })).code).toBe(400)
    expect((await demo.call('DELETE', path)).status).toBe(202)
  })
})

describe('management', () => {
  it('reboots the server with its agent', async () => {
    const before = await startedAt()
    await actAsAdmin({ reboot: {} })
    await until('reboot', async () => (await lastOperation()).status === 'DONE')
    await waitUntilActive(demo, shop.id)
    expect(await startedAt()).not.toBe(before)
    expect(await rows()).toEqual([{ id: 7 }])
  })

  it('stops the database, and a restart starts it', async () => {
    expect((await actAsAdmin({ stop: {} })).status).toBe(202)
    await until('stop', async () => (await show()).operating_status === 'SHUTDOWN')
    expect((await show()).status).toBe('ACTIVE')
    await expect(query(shop, ANN, 'SELECT 1')).rejects.toThrow(/ECONNREFUSED|ECONNRESET/)
    expect(faultOf(await demo.call('GET', `${at}/users`)).code).toBe(422)
    await accepted(act({ restart: {} }))
    expect(await rows()).toEqual([{ id: 7 }])
  })

  it('rebuilds the server, and keeps the volume', async () => {
    const before = (await admin.call('GET', at)).body.instance
    await withHostPaused(coffer, async () => {
      const image = { image_id: '00000000-0000-4000-8000-000000000000' }
      expect((await actAsAdmin({ rebuild: image })).status).toBe(202)
      expect((await show()).status).toBe('BUILD')
    })
    shop = await waitUntilActive(demo, shop.id)
    expect(await rows()).toEqual([{ id: 7 }])
    const now = (await admin.call('GET', at)).body.instance
    expect(now.server_id).not.toBe(before.server_id)
    expect(now.volume_id).toBe(before.volume_id)
    const managed = (await admin.call('GET', `/mgmt/instances/${shop.id}`)).body.instance
    expect([managed.server.id, managed.volume.id]).toEqual([now.server_id, before.volume_id])
    expect(managed.volume.attachments).toEqual([{ server_id: now.server_id }])
    // The new agent receives commands.
    const users = [{ name: 'after', password: 'pw2' }]
    expect((await demo.call('POST', `${at}/users`, { users })).status).toBe(202)
    await until('user', async () => (await demo.call('GET', `${at}/users/after`)).status === 200)
  })

  it('has no other host to migrate to', async () => {
    expect(faultOf(await actAsAdmin({ migrate: {} })).code).toBe(501)
    expect(faultOf(await actAsAdmin({ migrate: { host: 'other' } })).code).toBe(501)
  })

  it('refuses unknown actions, and every action of members', async () => {
    for (const body of [
      {},
      { nothing: {} },
      { stop: {}, reboot: {} },
      { rebuild: { image_id: 'x' } },
      { restart: {} },
    ]) {
      expect([body, faultOf(await actAsAdmin(body)).code]).toEqual([body, 400])
    }
    const refused = await demo.call('POST', `/mgmt/instances/${shop.id}/action`, { stop: {} })
    expect(faultOf(refused)).toEqual({
      name: 'unauthorized',
      code: 401,
      message: 'User does not have admin privileges.',
    })
    expect((await actAsAdmin({ 'reset-task-status': {} })).status).toBe(202)
    await until('report', async () => (await show()).operating_status === 'HEALTHY', 90_000)
  })
})
