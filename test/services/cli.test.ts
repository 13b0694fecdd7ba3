import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { until } from '../e2e/coffer.ts'
import { address, createActive, query, run, type ShownInstance, startWorld, type World } from './clients.ts'

type Row = Record<string, unknown>

// python-openstackclient with python-troveclient's plugin: the commands but for actions and management.
describe('openstack database: commands', () => {
  let world: World
  let shop: ShownInstance
  beforeAll(async () => {
    world = await startWorld()
    shop = await createActive(world, world.demo, 'shop', '--databases cart --users ann:secret1')
  }, 120_000)
  afterAll(() => world.end(), 60_000)

  const rows = (command: string) => world.json<Row[]>(world.demo, command)
  const names = async (command: string) => (await rows(command)).map(row => row['Name'])
  /** Trove answers 202 before the guest has acted: repeats the command until it lists these names. */
  const untilListed = (command: string, expected: string[]) =>
    until(
      `${expected} in ${command}`,
      async () => JSON.stringify(await names(command)) === JSON.stringify(expected),
      10_000,
    )

  it('shows flavors and datastores by id and by name', async () => {
    expect(await world.json(world.demo, 'database flavor show db.small')).toMatchObject({
      id: 2,
      name: 'db.small',
      ram: 1024,
    })
    expect(await world.json(world.demo, 'database flavor show 2')).toMatchObject({ name: 'db.small' })
    const datastore = await world.json(world.demo, 'datastore show postgresql')
    expect(datastore).toMatchObject({ name: 'postgresql', default_version: '18' })
    expect(await world.json(world.demo, `datastore show ${datastore['id']}`)).toEqual(datastore)
    const version = await world.json(world.demo, 'datastore version show --datastore postgresql 18')
    expect(version).toMatchObject({ name: '18', datastore: datastore['id'] })
    expect(await world.json(world.demo, `datastore version show ${version['id']}`)).toEqual(version)
  })

  it('shows an instance by id and by name, and lists it', async () => {
    const {
      volume_used: _,
      service_status_updated: __,
      ...byName
    } = await world.json<ShownInstance>(world.demo, 'database instance show shop')
    expect(await world.json(world.demo, `database instance show ${shop.id}`)).toMatchObject(byName)
    expect(await rows('database instance list')).toEqual([
      expect.objectContaining({
        ID: shop.id,
        Name: 'shop',
        Status: 'ACTIVE',
        'Operating Status': 'HEALTHY',
        'Flavor ID': '1',
        Size: 1,
      }),
    ])
  })

  it('shows the limits', async () => {
    const limits = await run(world, world.demo, 'database limit list')
    expect(limits).toMatch(/\| max_instances \| 10 +\|/)
    expect(limits).toMatch(/\| max_volumes +\| 40 +\|/)
    expect(limits).toMatch(/\| +20000 \| POST +\|/)
  })

  it('shows the default configuration, with which the server runs', async () => {
    const configuration = await world.json<Record<string, string | number>>(
      world.demo,
      'database configuration default shop',
    )
    expect(configuration).toMatchObject({ max_connections: 64, shared_buffers: '128MB' })
    const names = Object.keys(configuration).map(name => `'${name}'`)
    const settings = `SELECT lower(name), current_setting(name) FROM pg_settings WHERE lower(name) IN (${names})`
    const { result } = await query(world, shop, 'user=ann password=secret1 dbname=cart', settings)
    expect(Object.fromEntries(result)).toEqual(
      Object.fromEntries(Object.entries(configuration).map(([name, value]) => [name, String(value)])),
    )
  })

  it('refuses to attach an unknown configuration, and detaches none without an error', async () => {
    const missing = '00000000-0000-4000-8000-000000000000'
    expect(await world.openstack(world.demo, `database configuration attach shop ${missing}`)).toMatchObject({
      code: 1,
      err: expect.stringMatching(new RegExp(`${missing} cannot be found.*HTTP 404`)),
    })
    await run(world, world.demo, 'database configuration detach shop')
    await run(world, world.demo, `database configuration detach ${shop.id}`)
  })

  it('creates, lists and deletes databases', async () => {
    expect(await names('database db list shop')).toEqual(['cart'])
    await run(world, world.demo, 'database db create shop books')
    await untilListed('database db list shop', ['books', 'cart'])
    await run(world, world.demo, 'database db create shop dotted.json')
    await untilListed('database db list shop', ['books', 'cart', 'dotted.json'])
    await run(world, world.demo, 'database db delete shop dotted.json')
    await run(world, world.demo, 'database db delete shop books')
    await untilListed('database db list shop', ['cart'])
  })

  it('creates a user with a grant who can use exactly that database', async () => {
    await run(world, world.demo, 'database db create shop books')
    await untilListed('database db list shop', ['books', 'cart'])
    await run(world, world.demo, 'database user create shop bob pw2 --databases books')
    await untilListed('database user list shop', ['ann', 'bob'])
    expect(await rows('database user list shop')).toContainEqual({ Name: 'bob', Host: '%', Databases: 'books' })
    expect(await world.json(world.demo, 'database user show shop bob')).toEqual({
      name: 'bob',
      host: '%',
      databases: [{ name: 'books' }],
    })
    expect(await query(world, shop, 'user=bob password=pw2 dbname=books', 'CREATE TABLE t (id int)')).toEqual({
      result: null,
    })
    expect(await query(world, shop, 'user=bob password=pw2 dbname=cart', 'SELECT 1')).toMatchObject({
      error: 'OperationalError',
    })
  })

  it('grants and revokes access immediately', async () => {
    await run(world, world.demo, 'database user grant access shop bob cart')
    expect(await names('database user show access shop bob')).toEqual(['books', 'cart'])
    expect(await query(world, shop, 'user=bob password=pw2 dbname=cart', 'SELECT 1')).toEqual({ result: [[1]] })
    await run(world, world.demo, 'database user revoke access shop bob cart')
    expect(await names('database user show access shop bob')).toEqual(['books'])
    expect(await query(world, shop, 'user=bob password=pw2 dbname=cart', 'SELECT 1')).toMatchObject({
      error: 'OperationalError',
    })
  })

  it("changes a user's name and password and keeps the user's tables", async () => {
    await run(world, world.demo, 'database user update attributes shop bob --new_name rob --new_password pw3')
    await untilListed('database user list shop', ['ann', 'rob'])
    expect(
      await query(world, shop, 'user=rob password=pw3 dbname=books', 'INSERT INTO t VALUES (1) RETURNING id'),
    ).toEqual({
      result: [[1]],
    })
    expect(await query(world, shop, 'user=rob password=pw2 dbname=books', 'SELECT 1')).toMatchObject({
      error: 'OperationalError',
    })
  })

  it('limits a user to a host', async () => {
    await run(world, world.demo, 'database user create shop far pw4 --host 192.0.2.7 --databases cart')
    await untilListed('database user list shop', ['ann', 'far', 'rob'])
    expect(await world.json(world.demo, 'database user show shop far --host 192.0.2.7')).toMatchObject({
      host: '192.0.2.7',
    })
    expect(await query(world, shop, 'user=far password=pw4 dbname=cart', 'SELECT 1')).toMatchObject({
      error: 'OperationalError',
    })
    await run(world, world.demo, 'database user update attributes shop far --host 192.0.2.7 --new_host %')
    await until(
      'login of far',
      async () => (await query(world, shop, 'user=far password=pw4 dbname=cart', 'SELECT 1')).result,
      10_000,
    )
    await run(world, world.demo, 'database user delete shop far')
  })

  it('accepts names and passwords with quotes, spaces and SQL in them', async () => {
    const [database, user, password] = [`o'brien "db"; --`, 'ünï "x"', `p'w" ;$1 \\`]
    await run(world, world.demo, ['database', 'db', 'create', 'shop', database])
    await untilListed('database db list shop', ['books', 'cart', database])
    await run(world, world.demo, ['database', 'user', 'create', 'shop', user, password, '--databases', database])
    await until('the user', async () => (await names('database user list shop')).includes(user), 10_000)
    const [asUser, withPassword, toDatabase] = [user, password, database].map(text => JSON.stringify(text))
    const keywords = `user=${asUser}, password=${withPassword}, dbname=${toDatabase}`
    const code = `import psycopg
with psycopg.connect(${JSON.stringify(address(shop))}, ${keywords}) as connection:
    result = connection.execute('SELECT current_user, current_database()').fetchone()`
    expect(await world.python({}, code)).toEqual({ result: [user, database] })
    await run(world, world.demo, ['database', 'user', 'delete', 'shop', user])
    await until('end of the user', async () => !(await names('database user list shop')).includes(user), 10_000)
    // The server decodes the path segment; troveclient sends the name unchanged but for characters that HTTP forbids.
    await run(world, world.demo, ['database', 'db', 'delete', 'shop', database])
    await untilListed('database db list shop', ['books', 'cart'])
  })

  it('deletes users and keeps their tables, which only root can read', async () => {
    await run(world, world.demo, 'database user delete shop rob')
    await untilListed('database user list shop', ['ann'])
    await run(world, world.demo, 'database user grant access shop ann books')
    const tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    expect(await query(world, shop, 'user=ann password=secret1 dbname=books', tables)).toEqual({ result: [['t']] })
    expect(await query(world, shop, 'user=ann password=secret1 dbname=books', 'SELECT id FROM t')).toMatchObject({
      error: 'InsufficientPrivilege',
    })
  })

  it('lets only an admin reset a status', async () => {
    const command = `database instance reset status ${shop.id}`
    expect(await world.openstack(world.demo, command)).toMatchObject({
      code: 1,
      err: expect.stringContaining('HTTP 403'),
    })
    expect(await world.openstack(world.admin, command)).toMatchObject({ code: 0 })
    const status = async () => (await world.json<ShownInstance>(world.demo, 'database instance show shop')).status
    await until('ACTIVE again', async () => (await status()) === 'ACTIVE', 80_000)
    expect(await query(world, shop, 'user=ann password=secret1 dbname=books', 'SELECT 1')).toEqual({ result: [[1]] })
  })

  it('lets an admin force-delete an instance that is being built', async () => {
    const { id } = await world.json<ShownInstance>(world.demo, 'database instance create brief --flavor 1 --size 1')
    expect(await world.openstack(world.admin, `database instance force delete ${id}`)).toMatchObject({ code: 0 })
    await untilListed('database instance list', ['shop'])
  })

  it('deletes an instance by name', async () => {
    await run(world, world.demo, 'database instance delete shop')
    await untilListed('database instance list', [])
  })
})
