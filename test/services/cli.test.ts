import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { until } from '../e2e/coffer.ts'
import { address, create, type Shown, startWorld, type World } from './clients.ts'

type Row = Record<string, unknown>

// python-openstackclient with python-troveclient's plugin: every command of what Coffer serves so far.
describe('openstack database', () => {
  let world: World
  let shop: Shown
  beforeAll(async () => {
    world = await startWorld()
    shop = await create(world, world.demo, 'shop', '--databases cart --users ann:secret1')
  }, 120_000)
  afterAll(() => world.end(), 60_000)

  /** Runs a command as the member of `demo`; it must succeed. */
  async function run(command: string): Promise<string> {
    const { code, out, err } = await world.openstack(world.demo, command)
    expect({ command, code, err }).toEqual({ command, code: 0, err: '' })
    return out
  }
  const rows = (command: string) => world.json<Row[]>(world.demo, command)
  const names = async (command: string) => (await rows(command)).map(row => row['Name'])
  /** Trove answers 202 before the guest has acted: asks until the listing has these names. */
  const listed = (command: string, wanted: string[]) =>
    until(
      `${wanted} in ${command}`,
      async () => JSON.stringify(await names(command)) === JSON.stringify(wanted),
      10_000,
    )
  /** One statement as a tenant's user. */
  const query = (login: string, statement: string) =>
    world.python(
      {},
      `import psycopg
with psycopg.connect('${address(shop)} ${login}', autocommit=True) as connection:
    cursor = connection.execute(${JSON.stringify(statement)})
    result = cursor.fetchall() if cursor.description else None`,
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
    } = await world.json<Shown>(world.demo, 'database instance show shop')
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
    const limits = await run('database limit list')
    expect(limits).toMatch(/\| max_instances \| 10 +\|/)
    expect(limits).toMatch(/\| max_volumes +\| 40 +\|/)
    expect(limits).toMatch(/\| +20000 \| POST +\|/)
  })

  it('shows the default configuration, which is what its server runs with', async () => {
    const shown = await world.json<Record<string, string | number>>(world.demo, 'database configuration default shop')
    expect(shown).toMatchObject({ max_connections: 64, shared_buffers: '128MB' })
    const names = Object.keys(shown).map(name => `'${name}'`)
    const asked = `SELECT lower(name), current_setting(name) FROM pg_settings WHERE lower(name) IN (${names})`
    const { result } = await query('user=ann password=secret1 dbname=cart', asked)
    expect(Object.fromEntries(result)).toEqual(
      Object.fromEntries(Object.entries(shown).map(([name, value]) => [name, String(value)])),
    )
  })

  it('attaches no configuration that is not there, and detaches none without complaint', async () => {
    const missing = '00000000-0000-4000-8000-000000000000'
    expect(await world.openstack(world.demo, `database configuration attach shop ${missing}`)).toMatchObject({
      code: 1,
      err: expect.stringMatching(new RegExp(`${missing} cannot be found.*HTTP 404`)),
    })
    await run('database configuration detach shop')
    await run(`database configuration detach ${shop.id}`)
  })

  it('creates, lists and deletes databases', async () => {
    expect(await names('database db list shop')).toEqual(['cart'])
    await run('database db create shop books')
    await listed('database db list shop', ['books', 'cart'])
    await run('database db create shop dotted.json')
    await listed('database db list shop', ['books', 'cart', 'dotted.json'])
    await run('database db delete shop dotted.json')
    await run('database db delete shop books')
    await listed('database db list shop', ['cart'])
  })

  it('creates a user with a grant, who can use exactly that database', async () => {
    await run('database db create shop books')
    await listed('database db list shop', ['books', 'cart'])
    await run('database user create shop bob pw2 --databases books')
    await listed('database user list shop', ['ann', 'bob'])
    expect(await rows('database user list shop')).toContainEqual({ Name: 'bob', Host: '%', Databases: 'books' })
    expect(await world.json(world.demo, 'database user show shop bob')).toEqual({
      name: 'bob',
      host: '%',
      databases: [{ name: 'books' }],
    })
    expect(await query('user=bob password=pw2 dbname=books', 'CREATE TABLE t (id int)')).toEqual({ result: null })
    expect(await query('user=bob password=pw2 dbname=cart', 'SELECT 1')).toMatchObject({ error: 'OperationalError' })
  })

  it('grants and revokes access, at once', async () => {
    await run('database user grant access shop bob cart')
    expect(await names('database user show access shop bob')).toEqual(['books', 'cart'])
    expect(await query('user=bob password=pw2 dbname=cart', 'SELECT 1')).toEqual({ result: [[1]] })
    await run('database user revoke access shop bob cart')
    expect(await names('database user show access shop bob')).toEqual(['books'])
    expect(await query('user=bob password=pw2 dbname=cart', 'SELECT 1')).toMatchObject({ error: 'OperationalError' })
  })

  it("changes a user's name and password; what the user made is kept", async () => {
    await run('database user update attributes shop bob --new_name rob --new_password pw3')
    await listed('database user list shop', ['ann', 'rob'])
    expect(await query('user=rob password=pw3 dbname=books', 'INSERT INTO t VALUES (1) RETURNING id')).toEqual({
      result: [[1]],
    })
    expect(await query('user=rob password=pw2 dbname=books', 'SELECT 1')).toMatchObject({ error: 'OperationalError' })
  })

  it('holds a user to a host', async () => {
    await run('database user create shop far pw4 --host 192.0.2.7 --databases cart')
    await listed('database user list shop', ['ann', 'far', 'rob'])
    expect(await world.json(world.demo, 'database user show shop far --host 192.0.2.7')).toMatchObject({
      host: '192.0.2.7',
    })
    expect(await query('user=far password=pw4 dbname=cart', 'SELECT 1')).toMatchObject({ error: 'OperationalError' })
    await run('database user update attributes shop far --host 192.0.2.7 --new_host %')
    await until('far let in', async () => (await query('user=far password=pw4 dbname=cart', 'SELECT 1')).result, 10_000)
    await run('database user delete shop far')
  })

  it('takes names and passwords that shells and SQL would stumble over', async () => {
    const [database, user, password] = [`o'brien "db"; --`, 'ünï "x"', `p'w" ;$1 \\`]
    const must = async (args: string[]) =>
      expect(await world.openstack(world.demo, args)).toMatchObject({ code: 0, err: '' })
    await must(['database', 'db', 'create', 'shop', database])
    await listed('database db list shop', ['books', 'cart', database])
    await must(['database', 'user', 'create', 'shop', user, password, '--databases', database])
    await until('the user', async () => (await names('database user list shop')).includes(user), 10_000)
    const code = `import psycopg
with psycopg.connect(${JSON.stringify(address(shop))}, user=${JSON.stringify(user)}, password=${JSON.stringify(password)}, dbname=${JSON.stringify(database)}) as connection:
    result = connection.execute('SELECT current_user, current_database()').fetchone()`
    expect(await world.python({}, code)).toEqual({ result: [user, database] })
    await must(['database', 'user', 'delete', 'shop', user])
    await until('end of the user', async () => !(await names('database user list shop')).includes(user), 10_000)
    // Its path segment is for the server to decode; troveclient sends the name as it is, but for what HTTP forbids.
    await must(['database', 'db', 'delete', 'shop', database])
    await listed('database db list shop', ['books', 'cart'])
  })

  it('deletes users; what they made stays, for root alone', async () => {
    await run('database user delete shop rob')
    await listed('database user list shop', ['ann'])
    await run('database user grant access shop ann books')
    const tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    expect(await query('user=ann password=secret1 dbname=books', tables)).toEqual({ result: [['t']] })
    expect(await query('user=ann password=secret1 dbname=books', 'SELECT id FROM t')).toMatchObject({
      error: 'InsufficientPrivilege',
    })
  })

  it('lets an admin reset a status, and nobody else', async () => {
    const command = `database instance reset status ${shop.id}`
    expect(await world.openstack(world.demo, command)).toMatchObject({
      code: 1,
      err: expect.stringContaining('HTTP 403'),
    })
    expect(await world.openstack(world.admin, command)).toMatchObject({ code: 0 })
    const status = async () => (await world.json<Shown>(world.demo, 'database instance show shop')).status
    await until('ACTIVE again', async () => (await status()) === 'ACTIVE', 80_000)
    expect(await query('user=ann password=secret1 dbname=books', 'SELECT 1')).toEqual({ result: [[1]] })
  })

  it('force-deletes as an admin, even what is being built', async () => {
    const { id } = await world.json<Shown>(world.demo, 'database instance create brief --flavor 1 --size 1')
    expect(await world.openstack(world.admin, `database instance force delete ${id}`)).toMatchObject({ code: 0 })
    await listed('database instance list', ['shop'])
  })

  it('deletes by name', async () => {
    await run('database instance delete shop')
    await listed('database instance list', [])
  })
})
