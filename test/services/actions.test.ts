import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { until } from '../e2e/coffer.ts'
import {
  createActive,
  type Login,
  type PythonResult,
  query,
  run,
  type ShownInstance,
  startWorld,
  type World,
} from './clients.ts'

type Row = Record<string, unknown>

// python-troveclient's commands that change an instance, one after the other on the same instance, each checked by its
// effect on the database itself; and its commands for datastores.
describe('openstack database: actions', () => {
  let world: World
  let shop: ShownInstance
  beforeAll(async () => {
    world = await startWorld()
    const version = '--datastore postgresql --datastore-version 18.3'
    shop = await createActive(world, world.demo, 'shop', `${version} --databases cart --users ann:secret1`)
    await select('CREATE TABLE items (n int)')
    await select('INSERT INTO items VALUES (7)')
  }, 150_000)
  afterAll(() => world.end(), 60_000)

  const show = () => world.json<ShownInstance>(world.demo, `database instance show ${shop.id}`)
  /** Runs a statement as the tenant's user; `options` are further ones of libpq. */
  const attempt = (statement: string, options = ''): Promise<PythonResult> =>
    query(world, shop, `user=ann password=secret1 dbname=cart ${options}`, statement)
  async function select(statement: string): Promise<PythonResult['result']> {
    const { result, ...failure } = await attempt(statement)
    expect({ statement, ...failure }).toEqual({ statement })
    return result
  }
  const setting = async (name: string) => (await select(`SHOW ${name}`))[0][0]
  const startTime = async () => (await select('SELECT pg_postmaster_start_time()::text'))[0][0]
  /** Runs a command, and returns the instance once it is healthy again. Its status has known words only meanwhile. */
  async function runUntilHealthy(command: string, login: Login = world.demo): Promise<ShownInstance> {
    await run(world, login, command)
    const statuses: string[] = []
    shop = await until(`ACTIVE after ${command}`, async () => {
      const instance = await show()
      statuses.push(instance.status)
      return instance.status === 'ACTIVE' && instance.operating_status === 'HEALTHY' && instance
    })
    for (const status of statuses) expect(['REBOOT', 'RESIZE', 'UPGRADE', 'BUILD', 'ACTIVE']).toContain(status)
    return shop
  }

  it('renames an instance', async () => {
    await run(world, world.demo, 'database instance update shop --name store')
    expect((await show()).name).toBe('store')
  })

  it('changes the networks from which the database can be reached', async () => {
    await run(world, world.demo, 'database instance update store --is-private --allowed-cidr 192.0.2.0/24')
    const login = () => attempt('SELECT 1')
    await until('refusal', async () => (await login()).error === 'OperationalError')
    // As in Trove, `access` changes once the change is done.
    await until('end of the change', async () => JSON.stringify(await show()).includes('192.0.2.0/24'))
    await run(world, world.demo, 'database instance update store --is-public --allowed-cidr 127.0.0.0/8')
    await until('admission', async () => (await login()).result)
  })

  it('restarts an instance', async () => {
    const before = await startTime()
    await runUntilHealthy('database instance restart store')
    expect(await startTime()).not.toBe(before)
  })

  it('resizes the flavor', async () => {
    const before = await setting('shared_buffers')
    expect((await runUntilHealthy('database instance resize flavor store 2'))['flavor']).toBe('2')
    expect([before, await setting('shared_buffers')]).toEqual(['128MB', '256MB'])
  })

  it('resizes the volume to a larger size and refuses a smaller one', async () => {
    expect((await runUntilHealthy('database instance resize volume store 2'))['volume']).toBe(2)
    const { code, err } = await world.openstack(world.demo, 'database instance resize volume store 1')
    expect([code, err]).toEqual([1, expect.stringContaining('HTTP 400')])
    expect((await show())['volume']).toBe(2)
  })

  it('upgrades to a newer version and keeps the data', async () => {
    expect(await setting('server_version')).toBe('18.3')
    expect((await runUntilHealthy('database instance upgrade store 18'))['datastore_version']).toBe('18')
    expect(await setting('server_version')).toBe('18.4')
    expect(await select('SELECT n FROM items')).toEqual([[7]])
  })

  it('reboots and rebuilds an instance for admins only', async () => {
    const before = await startTime()
    await runUntilHealthy(`database instance reboot ${shop.id}`, world.admin)
    const rebooted = await startTime()
    expect(rebooted).not.toBe(before)
    // This compute backend ignores the image.
    await runUntilHealthy(`database instance rebuild ${shop.id} 5b3b2a4e-8a2d-4d4f-9f0e-0a3cf2f6a111`, world.admin)
    expect(await startTime()).not.toBe(rebooted)
    expect(await select('SELECT n FROM items')).toEqual([[7]])
    const denied = await world.openstack(world.demo, `database instance reboot ${shop.id}`)
    expect([denied.code, denied.err]).toEqual([1, expect.stringContaining('User does not have admin privileges.')])
  })

  it('enforces TLS, rolls that back, disables and enables it', async () => {
    const ssl = (command: string) => world.json<Row>(world.demo, `database ssl ${command}`)
    // The command requires a container of a key manager: the empty one stands for Coffer's own certificate.
    const enable = async (mode: string) => {
      const args = ['database', 'ssl', 'enable', 'store', '', '--mode', mode, '-f', 'json']
      const { code, out, err } = await world.openstack(world.demo, args)
      expect({ code, err }).toEqual({ code: 0, err: '' })
      return JSON.parse(out) as Row
    }
    const plain = async () => (await attempt('SELECT 1', 'sslmode=disable')).error
    const encrypted = async () => (await attempt('SELECT 1', 'sslmode=require')).error
    const certificate = JSON.stringify(await ssl('show store'))
    expect(certificate).toContain(`${shop.id}.coffer.internal`)
    const refused = 'OperationalError'
    expect(await enable('enforced')).toMatchObject({ status: 'on', mode: 'enforced' })
    expect([await plain(), await encrypted()]).toEqual([refused, undefined])
    expect(await ssl('rollback store')).toMatchObject({ status: 'on', mode: 'basic' })
    expect([await plain(), await encrypted()]).toEqual([undefined, undefined])
    expect(await ssl('disable store')).toMatchObject({ status: 'off' })
    expect([await plain(), await encrypted()]).toEqual([undefined, refused])
    expect(await enable('basic')).toMatchObject({ status: 'on', mode: 'basic' })
    expect(await encrypted()).toBeUndefined()
  })

  it('refuses the commands for replicas', async () => {
    for (const command of ['promote', 'eject', 'detach']) {
      const { code, err } = await world.openstack(world.demo, `database instance ${command} ${shop.id}`)
      expect([command, code, err]).toEqual([command, 1, expect.stringMatching(/not a replica.*HTTP 400/)])
    }
  })

  it('manages datastores and their versions for admins only', async () => {
    const versions = async (login: Login) =>
      (await world.json<Row[]>(login, 'datastore version list shelf')).map(row => [row['Name'], row['Version']])
    await run(world, world.admin, 'datastore version create one shelf postgresql 18 --active --default')
    const shelf = await world.json<Row>(world.demo, 'datastore show shelf')
    expect(shelf).toMatchObject({ name: 'shelf', default_version: 'one' })
    expect((await world.json<Row[]>(world.demo, 'datastore list')).map(row => row['Name']).toSorted()).toEqual([
      'postgresql',
      'shelf',
    ])
    const version = await world.json<Row>(world.demo, 'datastore version show --datastore shelf one')
    await run(world, world.admin, `datastore version set ${version['id']} --version-name two --image 17`)
    expect(await versions(world.demo)).toEqual([['two', '17.10']])
    await run(world, world.admin, `datastore version set ${version['id']} --disable`)
    expect(await versions(world.admin)).toEqual([['two', '17.10']])
    const hidden = await world.openstack(world.demo, 'datastore version show --datastore shelf two')
    expect(hidden.code).toBe(1)
    await run(world, world.admin, `datastore version delete ${version['id']}`)
    await run(world, world.admin, 'datastore delete shelf')
    expect((await world.openstack(world.admin, 'datastore show shelf')).code).toBe(1)
    const denied = await world.openstack(world.demo, 'datastore version create x y postgresql 18')
    expect([denied.code, denied.err]).toEqual([1, expect.stringContaining('User does not have admin privileges.')])
  })
})
