import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import type { Client } from 'pg'
import { type Cluster, newCluster } from './cluster.ts'

jest.setTimeout(60_000)

const named = (...names: string[]) => names.map(name => ({ name }))
const user = (name: string, databases: string[], host = '%') => ({
  name,
  password: `pw-${name}`,
  databases: named(...databases),
  host,
})

/** What must hold on every version; driver.test.ts has the rest, for the newest. */
describe.each([
  ['15', '15.18', 'c'],
  ['16', '16.14', 'c'],
  ['17', '17.10', 'b'],
  ['18.3', '18.3', 'b'],
])('PostgreSQL %s', (version, number, provider) => {
  const major = Number.parseInt(version, 10)
  let cluster: Cluster
  let maint: Client
  const show = async (name: string) => (await maint.query(`SHOW ${name}`)).rows[0]?.[name]

  beforeAll(async () => {
    cluster = await newCluster(version)
    await cluster.driver.prepare({
      datastore_version: '18',
      databases: [...named('app'), { name: 'swedish', collate: 'sv_SE.UTF-8' }],
      users: [user('alice', ['app']), user('pinned', ['app'], '10.0.0.1')],
    })
    maint = await cluster.superuser()
  })
  afterAll(() => cluster?.remove())

  it('runs with the settings of its flavor, and sorts the same on every machine', async () => {
    expect(await cluster.status()).toBe('healthy')
    expect(await show('server_version')).toBe(number)
    expect(await show('shared_buffers')).toBe('128MB')
    expect(await show('log_min_error_statement')).toBe('panic')
    const text = 'SELECT datlocprovider, datcollate, pg_encoding_to_char(encoding) AS encoding FROM pg_database'
    expect((await maint.query(`${text} WHERE datname = 'app'`)).rows).toEqual([
      { datlocprovider: provider, datcollate: 'C.UTF-8', encoding: 'UTF8' },
    ])
    const order = `SELECT string_agg(x, '' ORDER BY x) AS sorted, upper('é') AS upper FROM unnest('{a,B,é,Z,€}'::text[]) x`
    expect((await maint.query(order)).rows).toEqual([{ sorted: 'BZaé€', upper: 'É' }])
    expect((await maint.query('SHOW data_checksums')).rows).toEqual([{ data_checksums: 'on' }])
  })

  it('lets users create tables in their databases, and refuses everybody else', async () => {
    const alice = await cluster.connect('alice', 'pw-alice', 'app')
    await alice.query('CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)')
    expect((await alice.query('SELECT n FROM kept')).rows).toEqual([{ n: 42 }])
    await expect(cluster.connect('alice', 'pw-alice', 'swedish')).rejects.toThrow('permission denied')
    await expect(cluster.connect('alice', 'pw-alice', 'postgres')).rejects.toThrow('permission denied')
    await expect(cluster.connect('alice', 'wrong', 'app')).rejects.toThrow('password authentication failed')
    await expect(cluster.connect('pinned', 'pw-pinned', 'app')).rejects.toThrow('pg_hba.conf rejects')
  })

  it('offers the collations of its major version', async () => {
    await cluster.driver.create_database({
      databases: [
        { name: 'plain', collate: 'C' },
        { name: 'points', collate: 'C.UTF-8' },
      ],
    })
    const swedish = await cluster.superuser('swedish')
    expect((await swedish.query("SELECT 'z' < 'ö' AND 'a' < 'B' AS so")).rows).toEqual([{ so: true }])
    const plain = await cluster.superuser('plain')
    expect((await plain.query("SELECT 'B' < 'a' AS so")).rows).toEqual([{ so: true }])
    const fast = cluster.driver.create_database({ databases: [{ name: 'fast', collate: 'PG_UNICODE_FAST' }] })
    if (major < 18) await expect(fast).rejects.toMatchObject({ name: 'RejectedByDatastore', code: 400 })
    else await fast
    for (const name of ['plain', 'points']) await cluster.driver.delete_database({ name })
  })

  it('renames, pins, grants, revokes and drops users, and reassigns the objects of a dropped user', async () => {
    const { driver } = cluster
    await driver.create_user({ users: [user('bob', ['app'])] })
    await driver.grant_access({ name: 'bob', databases: ['swedish'] })
    expect(await driver.list_access({ name: 'bob', host: '%' })).toEqual(named('app', 'swedish'))
    await driver.revoke_access({ name: 'bob', database: 'swedish' })
    await driver.update_attributes({ name: 'bob', attributes: { name: 'robert', password: 'pw-new' } })
    const robert = await cluster.connect('robert', 'pw-new', 'app')
    await robert.query('CREATE TABLE his (n int); CREATE SCHEMA mine')
    await driver.change_passwords({ users: [{ name: 'robert', password: 'pw-newer' }] })
    await expect(cluster.connect('robert', 'pw-new', 'app')).rejects.toThrow('password authentication failed')
    await driver.delete_user({ name: 'robert' })
    await expect(robert.query('SELECT')).rejects.toThrow()
    const owner = "SELECT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relname = 'his'"
    expect((await (await cluster.superuser('app')).query(owner)).rows).toEqual([{ owner: 'os_former' }])
    const { items } = await driver.list_users({ limit: 10 })
    expect(items.map(({ name, host }) => `${name}@${host}`)).toEqual(['alice@%', 'pinned@10.0.0.1'])
  })

  it('refuses ALTER SYSTEM, and keeps connections for the agent when a tenant uses up its own', async () => {
    await expect(maint.query('ALTER SYSTEM SET listen_addresses = 0')).rejects.toThrow(
      major < 17 ? /could not open file "postgresql.auto.conf.tmp"/ : 'not allowed',
    )
    const sessions: Client[] = []
    for (let room = true; room; ) {
      const session = await cluster.connect('alice', 'pw-alice', 'app').catch(() => undefined)
      if (session) sessions.push(session)
      else room = false
    }
    expect(sessions.length).toBeGreaterThan(20)
    await cluster.driver.create_database({ databases: named('late') })
    expect((await cluster.restartAgent().list_databases({ limit: 9, marker: 'k' })).items[0]).toEqual({ name: 'late' })
    const ownerQuery = "SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = 'late'"
    expect((await maint.query(ownerQuery)).rows).toEqual([{ owner: 'os_owner' }])
    await Promise.all(sessions.map(session => session.end()))
  })

  it("runs no trigger of the tenant as the agent's superuser", async () => {
    const app = await cluster.superuser('app')
    await app.query(`
      CREATE FUNCTION trap() RETURNS event_trigger LANGUAGE plpgsql AS
        $$ BEGIN IF current_user = 'os_maint' THEN RAISE 'sprung'; END IF; END $$;
      CREATE EVENT TRIGGER trap ON ddl_command_start EXECUTE FUNCTION trap()`)
    await cluster.driver.create_user({ users: [user('eve', ['app'])] })
    await cluster.driver.delete_user({ name: 'eve' })
    await expect(app.query('CREATE TABLE x ()')).rejects.toThrow('sprung')
    await app.query('DROP EVENT TRIGGER trap')
  })

  it('has its data after a stop and after a crash', async () => {
    await cluster.driver.stop()
    expect(await cluster.status()).toBe('shutdown')
    await cluster.driver.start()
    const ended = cluster.driver.exited(new AbortController().signal)
    process.kill(cluster.pid(), 'SIGKILL')
    await ended
    await cluster.driver.start()
    expect(await cluster.status()).toBe('healthy')
    const alice = await cluster.connect('alice', 'pw-alice', 'app')
    expect((await alice.query('SELECT n FROM kept')).rows).toEqual([{ n: 42 }])
  })
})
