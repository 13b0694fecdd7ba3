import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { until } from '../e2e/coffer.ts'
import { address, bash, NETWORK, type ShownInstance, startWorld, type World } from './clients.ts'

// The README's first session, with the real programs.
describe('the first session with the openstack client', () => {
  let world: World
  let shop: ShownInstance
  beforeAll(async () => {
    world = await startWorld()
  }, 90_000)
  afterAll(() => world.end(), 60_000)

  /** Runs commands in a shell with the login of `demo`; returns what they print. */
  async function session(commands: string): Promise<string> {
    const { code, out, err } = await bash(`. ${world.coffer.dataDir}/openrc\n${commands}`)
    if (code !== 0) throw new Error(`ended with ${code}:\n${out}${err}`)
    return out
  }

  it('lists flavors, datastores and versions', async () => {
    const lists = await session(`
      openstack database flavor list
      openstack datastore list
      openstack datastore version list postgresql
    `)
    expect(lists).toMatch(/\| +1 \| db\.tiny +\| +512 \|/)
    expect(lists).toMatch(/\| postgresql \|/)
    expect(lists).toMatch(/\| 18 +\| 18\.\d+ +\|/)
  })

  it('creates an instance and sees it go from BUILD to ACTIVE', async () => {
    const created = await session(`
      openstack database instance create shop --flavor 1 --size 1 \\
        --datastore postgresql --datastore-version 18 \\
        --databases cart --users ann:secret1 --nic net-id=${NETWORK} -f json
    `)
    expect(JSON.parse(created)).toMatchObject({ name: 'shop', status: 'BUILD', datastore: 'postgresql', volume: 1 })
    shop = await until('ACTIVE shop', async () => {
      const instance = JSON.parse(await session('openstack database instance show shop -f json')) as ShownInstance
      return instance.status === 'ACTIVE' && instance
    })
    expect(shop).toMatchObject({ name: 'shop', operating_status: 'HEALTHY', flavor: '1', datastore_version: '18' })
    expect(shop.ip).toBe(shop.addresses[0]?.address)
  })

  it('writes and reads as the user, over separate connections', async () => {
    const dsn = `${address(shop)} user=ann password=secret1 dbname=cart`
    const connect = `import psycopg; connection = psycopg.connect('${dsn}', autocommit=True)`
    await session(`python -c "${connect}
connection.execute('CREATE TABLE items (id int PRIMARY KEY, what text)')
connection.execute('INSERT INTO items VALUES (%s, %s)', (7, 'žluťoučký kůň'))"`)
    const read = await session(`python -c "${connect}
print(connection.execute('SELECT id, what FROM items').fetchall())"`)
    expect(read).toBe("[(7, 'žluťoučký kůň')]\n")
  })

  it('refuses a wrong password, and another database than the user has been granted', async () => {
    const attempt = (password: string, database: string) => {
      const dsn = `${address(shop)} user=ann password=${password} dbname=${database}`
      return bash(`python -c "import psycopg; psycopg.connect('${dsn}')"`)
    }
    expect(await attempt('wrong', 'cart')).toMatchObject({
      code: 1,
      err: expect.stringContaining('password authentication failed'),
    })
    expect((await attempt('secret1', 'postgres')).code).toBe(1)
  })

  it('deletes the instance, after which nothing listens at its address', async () => {
    await session('openstack database instance delete shop')
    await until('end of shop', async () => (await session('openstack database instance list -f value')).trim() === '')
    const show = await bash(`. ${world.coffer.dataDir}/openrc; openstack database instance show shop`)
    expect(show).toMatchObject({ code: 1, err: "No instance with a name or ID of 'shop' exists.\n" })
    const dsn = `${address(shop)} user=ann password=secret1 dbname=cart connect_timeout=5`
    const connect = await bash(`python -c "import psycopg; psycopg.connect('${dsn}')"`)
    expect(connect).toMatchObject({ code: 1, err: expect.stringContaining('onnection') })
  })
})
