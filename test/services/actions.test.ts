import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { until } from '../e2e/coffer.ts'
import { type Answer, address, create, type Login, type Shown, startWorld, type World } from './clients.ts'

type Row = Record<string, unknown>

// python-troveclient's commands that change an instance, one after the other on the same one, each by its effect on the
// database itself; and those of datastores.
describe('openstack database', () => {
  let world: World
  let shop: Shown
  beforeAll(async () => {
    world = await startWorld()
    const version = '--datastore postgresql --datastore-version 18.3'
    shop = await create(world, world.demo, 'shop', `${version} --databases cart --users ann:secret1`)
    await query('CREATE TABLE kept (n int)')
    await query('INSERT INTO kept VALUES (7)')
  }, 150_000)
  afterAll(() => world.end(), 60_000)

  async function run(command: string, login: Login = world.demo): Promise<void> {
    const { code, err } = await world.openstack(login, command)
    expect({ command, code, err }).toEqual({ command, code: 0, err: '' })
  }
  const show = () => world.json<Shown>(world.demo, `database instance show ${shop.id}`)
  /** One statement of the tenant's user, in one text; `more` is libpq's. */
  const attempt = (statement: string, more = ''): Promise<Answer> =>
    world.python(
      {},
      `import psycopg
with psycopg.connect('${address(shop)} user=ann password=secret1 dbname=cart ${more}', autocommit=True) as connection:
    cursor = connection.execute(${JSON.stringify(statement)})
    result = cursor.fetchall() if cursor.description else None`,
    )
  async function query(statement: string): Promise<Answer['result']> {
    const { result, ...wrong } = await attempt(statement)
    expect({ statement, ...wrong }).toEqual({ statement })
    return result
  }
  const setting = async (name: string) => (await query(`SHOW ${name}`))[0][0]
  const started = async () => (await query('SELECT pg_postmaster_start_time()::text'))[0][0]
  /** Runs a command, and answers the instance once it serves again: what shows other words is not done yet. */
  async function settled(command: string, login?: Login): Promise<Shown> {
    await run(command, login)
    const words: string[] = []
    shop = await until(`ACTIVE after ${command}`, async () => {
      const shown = await show()
      words.push(shown.status)
      return shown.status === 'ACTIVE' && shown.operating_status === 'HEALTHY' && shown
    })
    for (const word of words) expect(['REBOOT', 'RESIZE', 'UPGRADE', 'BUILD', 'ACTIVE']).toContain(word)
    return shop
  }

  it('gives it another name', async () => {
    await run('database instance update shop --name store')
    expect((await show()).name).toBe('store')
  })

  it('says from where it can be reached', async () => {
    await run('database instance update store --is-private --allowed-cidr 192.0.2.0/24')
    const login = () => attempt('SELECT 1')
    await until('refusal', async () => (await login()).error === 'OperationalError')
    // In Trove's words access shows once the change is done.
    await until('end of the change', async () => JSON.stringify(await show()).includes('192.0.2.0/24'))
    await run('database instance update store --is-public --allowed-cidr 127.0.0.0/8')
    await until('admission', async () => (await login()).result)
  })

  it('restarts it', async () => {
    const before = await started()
    await settled('database instance restart store')
    expect(await started()).not.toBe(before)
  })

  it('gives it another flavor', async () => {
    const before = await setting('shared_buffers')
    expect((await settled('database instance resize flavor store 2'))['flavor']).toBe('2')
    expect([before, await setting('shared_buffers')]).toEqual(['128MB', '256MB'])
  })

  it('gives it a larger volume, and never a smaller one', async () => {
    expect((await settled('database instance resize volume store 2'))['volume']).toBe(2)
    const { code, err } = await world.openstack(world.demo, 'database instance resize volume store 1')
    expect([code, err]).toEqual([1, expect.stringContaining('HTTP 400')])
    expect((await show())['volume']).toBe(2)
  })

  it('takes it to a newer version, with all that is in it', async () => {
    expect(await setting('server_version')).toBe('18.3')
    expect((await settled('database instance upgrade store 18'))['datastore_version']).toBe('18')
    expect(await setting('server_version')).toBe('18.4')
    expect(await query('SELECT n FROM kept')).toEqual([[7]])
  })

  it('reboots and rebuilds it, for admins', async () => {
    const before = await started()
    await settled(`database instance reboot ${shop.id}`, world.admin)
    const rebooted = await started()
    expect(rebooted).not.toBe(before)
    // Which image, this compute backend cannot choose.
    await settled(`database instance rebuild ${shop.id} 5b3b2a4e-8a2d-4d4f-9f0e-0a3cf2f6a111`, world.admin)
    expect(await started()).not.toBe(rebooted)
    expect(await query('SELECT n FROM kept')).toEqual([[7]])
    const denied = await world.openstack(world.demo, `database instance reboot ${shop.id}`)
    expect([denied.code, denied.err]).toEqual([1, expect.stringContaining('User does not have admin privileges.')])
  })

  it('enforces TLS, takes that back, switches it off and on', async () => {
    const ssl = (command: string) => world.json<Row>(world.demo, `database ssl ${command}`)
    // The command has to name a container of a key manager: an empty one is Coffer's own.
    const enable = async (mode: string) => {
      const args = ['database', 'ssl', 'enable', 'store', '', '--mode', mode, '-f', 'json']
      const { code, out, err } = await world.openstack(world.demo, args)
      expect({ code, err }).toEqual({ code: 0, err: '' })
      return JSON.parse(out) as Row
    }
    const plain = async () => (await attempt('SELECT 1', 'sslmode=disable')).error
    const secure = async () => (await attempt('SELECT 1', 'sslmode=require')).error
    const certificate = JSON.stringify(await ssl('show store'))
    expect(certificate).toContain(`${shop.id}.coffer.internal`)
    const refused = 'OperationalError'
    expect(await enable('enforced')).toMatchObject({ status: 'on', mode: 'enforced' })
    expect([await plain(), await secure()]).toEqual([refused, undefined])
    expect(await ssl('rollback store')).toMatchObject({ status: 'on', mode: 'basic' })
    expect([await plain(), await secure()]).toEqual([undefined, undefined])
    expect(await ssl('disable store')).toMatchObject({ status: 'off' })
    expect([await plain(), await secure()]).toEqual([undefined, refused])
    expect(await enable('basic')).toMatchObject({ status: 'on', mode: 'basic' })
    expect(await secure()).toBeUndefined()
  })

  it('refuses what is for replicas', async () => {
    for (const command of ['promote', 'eject', 'detach']) {
      const { code, err } = await world.openstack(world.demo, `database instance ${command} ${shop.id}`)
      expect([command, code, err]).toEqual([command, 1, expect.stringMatching(/not a replica.*HTTP 400/)])
    }
  })

  it('manages datastores and their versions, for admins', async () => {
    const versions = async (login: Login) =>
      (await world.json<Row[]>(login, 'datastore version list shelf')).map(row => [row['Name'], row['Version']])
    await run('datastore version create one shelf postgresql 18 --active --default', world.admin)
    const shelf = await world.json<Row>(world.demo, 'datastore show shelf')
    expect(shelf).toMatchObject({ name: 'shelf', default_version: 'one' })
    expect((await world.json<Row[]>(world.demo, 'datastore list')).map(row => row['Name']).toSorted()).toEqual([
      'postgresql',
      'shelf',
    ])
    const version = await world.json<Row>(world.demo, 'datastore version show --datastore shelf one')
    await run(`datastore version set ${version['id']} --version-name two --image 17`, world.admin)
    expect(await versions(world.demo)).toEqual([['two', '17.10']])
    await run(`datastore version set ${version['id']} --disable`, world.admin)
    expect(await versions(world.admin)).toEqual([['two', '17.10']])
    const hidden = await world.openstack(world.demo, 'datastore version show --datastore shelf two')
    expect(hidden.code).toBe(1)
    await run(`datastore version delete ${version['id']}`, world.admin)
    await run('datastore delete shelf', world.admin)
    expect((await world.openstack(world.admin, 'datastore show shelf')).code).toBe(1)
    const denied = await world.openstack(world.demo, 'datastore version create x y postgresql 18')
    expect([denied.code, denied.err]).toEqual([1, expect.stringContaining('User does not have admin privileges.')])
  })
})
