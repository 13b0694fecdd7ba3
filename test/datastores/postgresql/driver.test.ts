import { readFileSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import fc from 'fast-check'
import { RejectedByDatastore } from '../../../lib/datastores/driver.ts'
import { scramVerifier } from '../../../lib/datastores/postgresql/sql/scram.ts'
import { filesBelow, readIfPresent } from '../../files.ts'
import { type Cluster, newCluster } from './cluster.ts'

const HOSTILE = [
  'a"b',
  "a'b",
  '"; DROP ROLE os_admin; --',
  "'); DROP DATABASE postgres; --",
  '$$; SELECT 1; $$',
  'back\\slash',
  'line\nbreak',
  'carriage\rreturn',
  '-rf',
  ' outer space ',
  '%s %I {}',
  '../../etc/passwd',
  '@file',
  '+group',
  'all',
  '#',
  'select',
  `${'😀'.repeat(15)}abc`,
]

jest.setTimeout(30_000)

const CANARY = 'canary-5b1d'
let cluster: Cluster
const saltOf = (verifier: string) => Buffer.from(/:(.*?)\$/.exec(verifier)?.[1] ?? '', 'base64')
const refused = (code: number) => expect.objectContaining({ name: 'RejectedByDatastore', code })
const named = (names: string[]) => names.map(name => ({ name }))
const user = (name: string, databases: string[] = [], attributes: { password?: string; host?: string } = {}) => ({
  name,
  password: `${CANARY}-${name}`,
  databases: named(databases),
  ...attributes,
})

/** A socket that connects from that address, for which pg has no setting. */
function socketFrom(localAddress: string): Socket {
  const socket = new Socket()
  const connect = socket.connect.bind(socket)
  return Object.assign(socket, { connect: (port: number, host: string) => connect({ port, host, localAddress }) })
}

/** Whether a user made by `user` can have a session. */
async function admits(name: string, database: string, from?: string, password = `${CANARY}-${name}`): Promise<boolean> {
  try {
    const client = await cluster.connect(name, password, database, from ? { stream: () => socketFrom(from) } : {})
    await client.end()
    return true
  } catch {
    return false
  }
}

const sorted = (names: string[]) => [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
const databaseNames = async () => (await cluster.driver.list_databases({ limit: 100 })).items.map(({ name }) => name)
const userNames = async () => (await cluster.driver.list_users({ limit: 100 })).items.map(({ name }) => name)

beforeAll(async () => {
  cluster = await newCluster()
  await cluster.driver.prepare({ datastore_version: '18', databases: named(['app']), users: [user('alice', ['app'])] })
})
afterAll(() => cluster.remove())

describe('databases', () => {
  afterAll(async () => {
    for (const name of await databaseNames()) if (name !== 'app') await cluster.driver.delete_database({ name })
  })

  it('are created once, however often requested, and admit only their users', async () => {
    const { driver } = cluster
    await driver.create_database({ databases: named(['one', 'one']) })
    await driver.create_database({ databases: [] })
    await driver.create_database({ databases: named(['one', 'two']) })
    expect(await databaseNames()).toEqual(['app', 'one', 'two'])
    expect(await admits('alice', 'app')).toBe(true)
    expect(await admits('alice', 'one')).toBe(false)
    expect(await admits('alice', 'postgres')).toBe(false)
    expect(await admits('alice', 'template1')).toBe(false)
  })

  it('that a crash left open to everyone are closed when the command is repeated', async () => {
    const maint = await cluster.superuser()
    await maint.query('CREATE DATABASE halfway OWNER os_admin')
    expect(await admits('alice', 'halfway')).toBe(true)
    await cluster.driver.create_database({ databases: named(['halfway']) })
    expect(await admits('alice', 'halfway')).toBe(false)
  })

  it('have the requested locale', async () => {
    await cluster.driver.create_database({
      databases: [
        { name: 'plain', character_set: 'utf8' },
        { name: 'fast', collate: 'PG_UNICODE_FAST' },
        { name: 'swedish', character_set: 'utf8mb4', collate: 'sv_SE.UTF-8' },
      ],
    })
    const maint = await cluster.superuser()
    const text = `SELECT datname, datlocale, pg_encoding_to_char(encoding) AS encoding FROM pg_database
      WHERE datname IN ('plain', 'fast', 'swedish') ORDER BY 1`
    expect((await maint.query(text)).rows).toEqual([
      { datname: 'fast', datlocale: 'PG_UNICODE_FAST', encoding: 'UTF8' },
      { datname: 'plain', datlocale: 'C.UTF-8', encoding: 'UTF8' },
      { datname: 'swedish', datlocale: 'sv-SE', encoding: 'UTF8' },
    ])
    const swedish = await cluster.superuser('swedish')
    expect((await swedish.query("SELECT 'z' < 'ö' AS last")).rows).toEqual([{ last: true }])
    await expect(cluster.driver.create_database({ databases: [{ name: 'x', collate: 'utf8_bin' }] })).rejects.toEqual(
      refused(400),
    )
  })

  it('are dropped with their sessions', async () => {
    const { driver } = cluster
    await driver.create_database({ databases: named(['busy']) })
    await driver.grant_access({ name: 'alice', databases: ['busy'] })
    const session = await cluster.connect('alice', `${CANARY}-alice`, 'busy')
    await driver.delete_database({ name: 'busy' })
    await expect(session.query('SELECT')).rejects.toThrow()
    await expect(driver.delete_database({ name: 'busy' })).rejects.toEqual(refused(404))
    expect(await driver.list_access({ name: 'alice' })).toEqual(named(['app']))
  })

  it("of the tenant's superuser obey the same verbs", async () => {
    const { driver } = cluster
    const maint = await cluster.superuser()
    await maint.query('CREATE DATABASE theirs')
    await driver.grant_access({ name: 'alice', databases: ['theirs'] })
    const alice = await cluster.connect('alice', `${CANARY}-alice`, 'theirs')
    await alice.query('CREATE TABLE t ()')
    await alice.end()
    await driver.revoke_access({ name: 'alice', database: 'theirs' })
    expect(await driver.list_access({ name: 'alice' })).toEqual(named(['app']))
    await driver.delete_database({ name: 'theirs' })
  })

  it.each(['postgres', 'template0', 'template1', 'os_admin'])('called %s are reserved', async name => {
    await expect(cluster.driver.create_database({ databases: named([name]) })).rejects.toEqual(refused(400))
    await expect(cluster.driver.delete_database({ name })).rejects.toEqual(refused(404))
    expect(await databaseNames()).not.toContain(name)
  })

  it('are listed page by page in byte order', async () => {
    const { driver } = cluster
    const names = ['B', 'ä', '😀', '\uFFFD']
    await driver.create_database({ databases: named(names) })
    const all = await databaseNames()
    expect(all).toEqual(sorted(all))
    expect(all).toEqual(expect.arrayContaining(names))
    const pages: string[] = []
    for (let marker: string | undefined; ; ) {
      const page = await driver.list_databases({ limit: 2, marker })
      pages.push(...page.items.map(({ name }) => name))
      marker = page.next
      if (marker === undefined) break
    }
    expect(pages).toEqual(all)
    const from = await driver.list_databases({ limit: 1, marker: 'B', include_marker: true })
    expect(from).toEqual({ items: [{ name: 'B' }], next: 'B' })
    expect(await driver.list_databases({ limit: 0 })).toEqual({ items: [] })
  })
})

describe('names', () => {
  it('of users are stored exactly, whatever they contain', async () => {
    const { driver } = cluster
    await driver.create_user({ users: HOSTILE.map(name => user(name)) })
    expect(await userNames()).toEqual(sorted([...HOSTILE, 'alice']))
    for (const name of HOSTILE) {
      expect(await admits(name, 'app')).toBe(false)
      await driver.grant_access({ name, databases: ['app'] })
      expect(await admits(name, 'app')).toBe(true)
      expect(await driver.get_user({ name, host: '%' })).toEqual({ name, host: '%', databases: named(['app']) })
      await driver.delete_user({ name })
    }
    expect(await userNames()).toEqual(['alice'])
  })

  it('of databases are stored exactly, too', async () => {
    const { driver } = cluster
    // Only some of them: a database costs more than a user.
    const names = HOSTILE.filter((_, index) => index % 3 === 0 || HOSTILE.length - 1 === index)
    await driver.create_database({ databases: named(names) })
    expect(await databaseNames()).toEqual(sorted([...names, 'app']))
    await driver.grant_access({ name: 'alice', databases: names })
    expect(await driver.list_access({ name: 'alice' })).toEqual(named(sorted([...names, 'app'])))
    for (const name of names) {
      const alice = await cluster.connect('alice', `${CANARY}-alice`, name)
      await alice.query('CREATE TABLE mine ()')
      await alice.end()
      await driver.revoke_access({ name: 'alice', database: name })
      await driver.delete_database({ name })
    }
    expect(await databaseNames()).toEqual(['app'])
  })

  it.each(['', 'a\0b', '\uD83D', '😀'.repeat(16)])('that PostgreSQL cannot store are rejected: %j', async name => {
    const { driver } = cluster
    await expect(driver.create_database({ databases: named([name]) })).rejects.toEqual(refused(400))
    await expect(driver.create_user({ users: [user(name)] })).rejects.toEqual(refused(400))
    await expect(driver.update_attributes({ name: 'alice', attributes: { name } })).rejects.toEqual(refused(400))
    await expect(driver.delete_user({ name })).rejects.toEqual(refused(404))
    expect(await driver.get_user({ name })).toBeNull()
  })
})

describe('users', () => {
  it('have the attributes that they were created with, also when created again', async () => {
    const { driver } = cluster
    await driver.create_user({ users: [user('bob', ['app'], { host: '127.%' }), user('carol')] })
    expect(await driver.get_user({ name: 'bob' })).toEqual({ name: 'bob', host: '127.%', databases: named(['app']) })
    expect(await driver.get_user({ name: 'bob', host: '%' })).toBeNull()
    expect(await driver.get_user({ name: 'carol', host: '%' })).toEqual({ name: 'carol', host: '%', databases: [] })
    expect(await driver.list_access({ name: 'carol', host: '%' })).toEqual([])
    await driver.create_user({
      users: [{ name: 'carol', password: 'changed', host: '127.0.0.0/8', databases: named(['app']) }],
    })
    expect(await driver.get_user({ name: 'carol' })).toMatchObject({ host: '127.0.0.0/8', databases: named(['app']) })
    expect(await admits('carol', 'app', undefined, 'changed')).toBe(true)
    const page = await driver.list_users({ limit: 1, marker: 'alice' })
    expect(page).toEqual({ items: [{ name: 'bob', host: '127.%', databases: named(['app']) }], next: 'bob' })
    await driver.delete_user({ name: 'bob', host: '127.%' })
    await driver.delete_user({ name: 'carol' })
    expect(await userNames()).toEqual(['alice'])
  })

  it('are not created at all if one of them is rejected', async () => {
    const { driver } = cluster
    const rejectedUsers = [
      user('postgres'),
      user('root'),
      user('pg_x'),
      user('os_maint'),
      user('public'),
      user('p', [], { password: '' }),
    ]
    for (const spec of rejectedUsers)
      await expect(driver.create_user({ users: [user('dave'), spec] })).rejects.toEqual(refused(400))
    await expect(driver.create_user({ users: [user('dave', [], { host: 'localhost' })] })).rejects.toEqual(refused(400))
    await expect(driver.create_user({ users: [user('dave', ['missing'])] })).rejects.toEqual(refused(404))
    await expect(driver.grant_access({ name: 'alice', databases: ['missing'] })).rejects.toEqual(refused(404))
    await expect(driver.grant_access({ name: 'alice', databases: ['postgres'] })).rejects.toEqual(refused(404))
    await expect(driver.grant_access({ name: 'os_admin', databases: ['app'] })).rejects.toEqual(refused(404))
    await expect(driver.revoke_access({ name: 'alice', database: 'missing' })).rejects.toEqual(refused(404))
    await expect(driver.delete_user({ name: 'os_admin' })).rejects.toEqual(refused(404))
    await expect(driver.change_passwords({ users: [{ name: 'os_maint', password: 'x' }] })).rejects.toEqual(
      refused(404),
    )
    expect(await userNames()).toEqual(['alice'])
  })

  it('create tables in a shared database, until their grant is revoked', async () => {
    const { driver } = cluster
    await driver.create_user({ users: [user('bob', ['app']), user('carol', ['app'])] })
    for (const name of ['bob', 'carol']) {
      const client = await cluster.connect(name, `${CANARY}-${name}`, 'app')
      await client.query(`CREATE TABLE of_${name} (n int); CREATE SCHEMA ${name}; CREATE TABLE ${name}.t ()`)
    }
    const open = await cluster.connect('bob', `${CANARY}-bob`, 'app')
    await driver.revoke_access({ name: 'bob', database: 'app' })
    await expect(open.query('SELECT')).rejects.toThrow()
    expect(await admits('bob', 'app')).toBe(false)
    await expect(driver.revoke_access({ name: 'bob', database: 'app' })).rejects.toEqual(refused(404))
    await driver.delete_user({ name: 'bob' })
    await driver.delete_user({ name: 'carol' })
  })

  it('leave their objects behind when they are dropped', async () => {
    const { driver } = cluster
    await driver.create_database({ databases: named(['second']) })
    await driver.create_user({ users: [user('bob', ['app', 'second']), user('carol', ['app'])] })
    const bob = await cluster.connect('bob', `${CANARY}-bob`, 'app')
    await bob.query(`CREATE TABLE kept (id serial, e text); INSERT INTO kept (e) VALUES ('data'); CREATE SCHEMA s;
      CREATE TYPE s.mood AS ENUM ('ok'); CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
      CREATE EXTENSION hstore; GRANT SELECT ON kept TO carol; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO carol;
      CREATE TABLE s.of_bob (m s.mood); SELECT lo_create(4711)`)
    const second = await cluster.connect('bob', `${CANARY}-bob`, 'second')
    await second.query('CREATE TABLE far (n int)')
    const carol = await cluster.connect('carol', `${CANARY}-carol`, 'app')
    await driver.delete_user({ name: 'bob' })
    await expect(bob.query('SELECT')).rejects.toThrow()
    await expect(driver.delete_user({ name: 'bob' })).rejects.toEqual(refused(404))
    expect((await carol.query('SELECT e FROM kept')).rows).toEqual([{ e: 'data' }])
    const owners =
      "SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relname IN ('kept', 'of_bob', 'far')"
    for (const database of ['app', 'second']) {
      const maint = await cluster.superuser(database)
      expect((await maint.query(owners)).rows).toEqual([{ owner: 'os_former' }])
      await maint.end()
    }
    await carol.end()
    await driver.delete_user({ name: 'carol' })
    await driver.delete_database({ name: 'second' })
  })

  it('give nobody more rights by being dropped: their views and functions have none left', async () => {
    const { driver } = cluster
    await driver.create_user({ users: [user('bob', ['app']), user('carol', ['app'])] })
    const carol = await cluster.connect('carol', `${CANARY}-carol`, 'app')
    await carol.query('CREATE TABLE secrets (n int)')
    const bob = await cluster.connect('bob', `${CANARY}-bob`, 'app')
    await bob.query(`CREATE VIEW peek AS SELECT * FROM secrets; GRANT SELECT ON peek TO alice;
      CREATE FUNCTION climb() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'ALTER ROLE alice CREATEROLE'`)
    await driver.delete_user({ name: 'bob' })
    const alice = await cluster.connect('alice', `${CANARY}-alice`, 'app')
    await expect(alice.query('SELECT * FROM peek')).rejects.toThrow('permission denied for table secrets')
    await expect(alice.query('SELECT climb()')).rejects.toThrow('permission denied')
    await Promise.all([alice.end(), carol.end()])
    await driver.delete_user({ name: 'carol' })
  })

  it('whose delete was interrupted can be deleted again, and get no session meanwhile', async () => {
    const { driver } = cluster
    await driver.create_user({ users: [user('bob', ['app'])] })
    const maint = await cluster.superuser()
    await maint.query('ALTER ROLE bob CONNECTION LIMIT 0')
    expect(await admits('bob', 'app')).toBe(false)
    expect(await userNames()).toContain('bob')
    await driver.create_user({ users: [user('bob', ['app'])] })
    expect(await admits('bob', 'app')).toBe(true)
    await driver.delete_user({ name: 'bob' })
  })

  it('change name, password and host, each alone and all together', async () => {
    const { driver } = cluster
    await driver.create_user({ users: [user('bob', ['app'])] })
    await driver.update_attributes({ name: 'bob', host: '%', attributes: { name: 'b"ob' } })
    expect(await admits('b"ob', 'app', undefined, `${CANARY}-bob`)).toBe(true)
    await driver.update_attributes({ name: 'b"ob', attributes: { password: 'new' } })
    expect(await admits('b"ob', 'app', undefined, 'new')).toBe(true)
    await driver.update_attributes({ name: 'b"ob', attributes: { name: 'rob', password: 'newer', host: '127.0.0.%' } })
    expect(await driver.get_user({ name: 'rob' })).toEqual({
      name: 'rob',
      host: '127.0.0.%',
      databases: named(['app']),
    })
    expect(await admits('rob', 'app', undefined, 'newer')).toBe(true)
    // A command is executed again if the agent dies before it has recorded its end.
    await driver.update_attributes({ name: 'b"ob', attributes: { name: 'rob', password: 'newer', host: '127.0.0.%' } })
    await driver.change_passwords({ users: [{ name: 'rob', host: '127.0.0.%', password: 'newest' }] })
    expect(await admits('rob', 'app', undefined, 'newest')).toBe(true)
    expect(await userNames()).toEqual(['alice', 'rob'])
  })

  it('cannot be renamed to an existing, reserved or invalid name', async () => {
    const { driver } = cluster
    for (const name of ['alice', 'os_admin', 'postgres', 'pg_monitor', '/slash']) {
      await expect(driver.update_attributes({ name: 'rob', attributes: { name } })).rejects.toEqual(refused(400))
    }
    await expect(driver.update_attributes({ name: 'nobody', attributes: { name: 'x' } })).rejects.toEqual(refused(404))
    await expect(driver.update_attributes({ name: 'nobody', attributes: { name: 'alice' } })).rejects.toEqual(
      refused(404),
    )
    await expect(driver.change_passwords({ users: [{ name: 'rob', host: '%', password: 'x' }] })).rejects.toEqual(
      refused(404),
    )
    expect(await admits('rob', 'app', undefined, 'newest')).toBe(true)
    await driver.delete_user({ name: 'rob' })
  })

  it('that the tenant created with SQL are listed and obey the verbs; its superusers and groups are not', async () => {
    const { driver } = cluster
    const maint = await cluster.superuser()
    await maint.query('CREATE ROLE boss SUPERUSER LOGIN; CREATE ROLE team; CREATE ROLE made LOGIN; GRANT team TO made')
    expect(await userNames()).toEqual(['alice', 'made'])
    await driver.grant_access({ name: 'made', databases: ['app'] })
    await driver.change_passwords({ users: [{ name: 'made', password: `${CANARY}-made` }] })
    const session = await cluster.connect('made', `${CANARY}-made`, 'app')
    await session.query('CREATE TABLE of_made ()')
    await driver.update_attributes({ name: 'made', attributes: { name: 'remade', host: '127.%' } })
    await driver.delete_user({ name: 'remade' })
    await expect(driver.create_user({ users: [user('boss')] })).rejects.toEqual(refused(400))
    await expect(driver.create_user({ users: [user('team')] })).rejects.toEqual(refused(400))
    await expect(driver.delete_user({ name: 'boss' })).rejects.toEqual(refused(404))
    await maint.query('DROP ROLE boss; DROP ROLE team')
  })

  it('cannot change their host through a comment on their role', async () => {
    const alice = await cluster.connect('alice', `${CANARY}-alice`, 'app')
    await expect(alice.query("COMMENT ON ROLE alice IS ''")).rejects.toThrow('permission denied')
    const maint = await cluster.superuser()
    for (const note of ['not json', '"text"', 'null', '{"host":"10.0.0.1 trust\\n"}', '{"host":7}']) {
      await maint.query(`COMMENT ON ROLE alice IS '${note}'`)
      expect(await cluster.driver.get_user({ name: 'alice', host: '%' })).toMatchObject({ host: '%' })
    }
  })
})

describe('access', () => {
  it('is granted again after the tenant dropped the schema public', async () => {
    const { driver } = cluster
    await driver.create_database({ databases: named(['bare']) })
    const bare = await cluster.superuser('bare')
    await bare.query('DROP SCHEMA public')
    await driver.grant_access({ name: 'alice', databases: ['bare'] })
    expect(await admits('alice', 'bare')).toBe(true)
    await driver.revoke_access({ name: 'alice', database: 'bare' })
    expect(await admits('alice', 'bare')).toBe(false)
    await driver.delete_database({ name: 'bare' })
  })

  it("to the agent's roles and files is never granted to a user", async () => {
    const alice = await cluster.connect('alice', `${CANARY}-alice`, 'app')
    for (const text of ['SET ROLE os_admin', 'CREATE ROLE x', 'CREATE DATABASE x', "COPY (SELECT 1) TO '/tmp/x'"]) {
      await expect(alice.query(text)).rejects.toThrow(/permission denied/)
    }
    await expect(alice.query("SELECT pg_read_file('os_admin.pw')")).rejects.toThrow(/permission denied/)
  })

  it('is left for the agent when tenants use every connection', async () => {
    const sessions: unknown[] = []
    const connect = () => cluster.connect('alice', `${CANARY}-alice`, 'app')
    const outcomes = await Promise.all(
      Array.from({ length: 70 }, () => connect().then(client => sessions.push(client), String)),
    )
    expect(outcomes.filter(outcome => typeof outcome === 'string').length).toBeGreaterThan(0)
    await cluster.driver.create_user({ users: [user('late', ['app'])] })
    expect(await cluster.status()).toBe('healthy')
    await cluster.driver.delete_user({ name: 'late' })
    await cluster.driver.revoke_access({ name: 'alice', database: 'app' })
    await cluster.driver.grant_access({ name: 'alice', databases: ['app'] })
  })
})

// Other systems have one loopback address only.
const describeOnLinux = process.platform === 'linux' ? describe : describe.skip

describeOnLinux('hosts', () => {
  it('are enforced from the first moment, over renames, changes and restarts', async () => {
    const { driver } = cluster
    await driver.create_user({
      users: [user('near', ['app'], { host: '127.1.%' }), user('"', ['app'], { host: '127.1.2.3' })],
    })
    expect(await admits('near', 'app', '127.1.9.9')).toBe(true)
    expect(await admits('near', 'app', '127.2.9.9')).toBe(false)
    expect(await admits('"', 'app', '127.1.2.3')).toBe(true)
    expect(await admits('"', 'app', '127.1.2.4')).toBe(false)
    expect(await admits('alice', 'app', '127.2.9.9')).toBe(true)

    const open = await cluster.connect('near', `${CANARY}-near`, 'app', { stream: () => socketFrom('127.1.1.1') })
    await driver.update_attributes({
      name: 'near',
      attributes: {
        name: 'nigh',
        host: '127.3.0.0/16',
        password: `${CANARY}-nigh`,
      },
    })
    await expect(open.query('SELECT')).rejects.toThrow()
    expect(await admits('nigh', 'app', '127.3.9.9')).toBe(true)
    expect(await admits('nigh', 'app', '127.1.9.9')).toBe(false)
    await driver.stop()
    await driver.start()
    expect(await admits('nigh', 'app', '127.1.9.9')).toBe(false)
    await driver.update_attributes({ name: 'nigh', host: '127.3.0.0/16', attributes: { host: '%' } })
    expect(await admits('nigh', 'app', '127.1.9.9')).toBe(true)
    await driver.delete_user({ name: 'nigh' })
    await driver.delete_user({ name: '"' })
    const rules = readFileSync(join(cluster.context.volume, 'data', 'pg_hba.conf'), 'utf8')
    expect(rules).not.toContain('127.1.')
  })

  it('that cannot be written into pg_hba.conf are rejected', async () => {
    for (const name of ['/a', 'a\nhost all all all trust']) {
      const specs = [user(name, [], { host: '127.0.0.1' })]
      await expect(cluster.driver.create_user({ users: specs })).rejects.toEqual(refused(400))
    }
    const hidden = user('a\nb')
    await cluster.driver.create_user({ users: [hidden] })
    await expect(cluster.driver.update_attributes({ name: 'a\nb', attributes: { host: '10.%' } })).rejects.toEqual(
      refused(400),
    )
    await cluster.driver.delete_user({ name: 'a\nb' })
  })
})

describe('passwords', () => {
  it.each([
    "it's",
    '"double"',
    "\\'; DROP ROLE alice; --",
    '$$',
    'line\nbreak',
    ' spaces ',
    'pässwörd',
    'I\u00ADX and \u2168',
    'a\u00A0b',
    'e\u0301',
    '密码🔒',
    '\u0627\u0644',
    'x'.repeat(5000),
  ])('admit their user: %j', async password => {
    const { driver } = cluster
    await driver.change_passwords({ users: [{ name: 'alice', password }] })
    expect(await admits('alice', 'app', undefined, password)).toBe(true)
    expect(await admits('alice', 'app', undefined, `${password}.`)).toBe(false)
  })

  it('are hashed exactly as by PostgreSQL', async () => {
    const maint = await cluster.superuser()
    await maint.query('SET scram_iterations = 1; CREATE ROLE oracle')
    const odd = fc.constantFrom(
      '\u00AD',
      '\u200B',
      '\u0340',
      '\u{1F130}',
      '\u2168',
      '\u00A0',
      '\u0627',
      '1',
      'a',
      '\u0301',
    )
    const password = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 8 }),
      fc.string({ unit: odd, minLength: 1 }),
    )
    const sendable = password.filter(text => !text.includes('\0'))
    await fc.assert(
      fc.asyncProperty(sendable, async text => {
        await maint.query(`ALTER ROLE oracle PASSWORD ${maint.escapeLiteral(text)}`)
        const { rows } = await maint.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'oracle'")
        expect(await scramVerifier(text, saltOf(rows[0].rolpassword), 1)).toBe(rows[0].rolpassword)
      }),
      { numRuns: 150 },
    )
    await maint.query('DROP ROLE oracle')
  })

  it('are in no file and no log, not even when statements fail', async () => {
    const { driver } = cluster
    await expect(driver.create_user({ users: [user('os_admin')] })).rejects.toBeInstanceOf(RejectedByDatastore)
    const maint = await cluster.superuser()
    await maint.query('CREATE ROLE team')
    await expect(driver.create_user({ users: [user('team')] })).rejects.toEqual(refused(400))
    const alice = await cluster.connect('alice', 'x'.repeat(5000), 'app')
    const failing = `SELECT * FROM nowhere WHERE x = '${CANARY}'`
    await expect(alice.query(failing)).rejects.toThrow()
    await expect(alice.query('SELECT $1::int', [CANARY])).rejects.toThrow()
    await maint.query('DROP ROLE team; CHECKPOINT')
    const log = readFileSync(join(cluster.context.volume, 'server.log'), 'utf8')
    expect(log).toContain('relation "nowhere" does not exist')
    expect(log).not.toContain(failing)
    const { volume } = cluster.context
    expect(filesBelow(volume).filter(path => readIfPresent(path).includes(`${CANARY}-`))).toEqual([])
  })

  it('of the agent can be read by their owner alone', () => {
    for (const name of ['os_maint.pw', 'os_admin.pw', 'server.log', 'data/coffer.conf', 'data/pg_hba.conf']) {
      expect(statSync(join(cluster.context.volume, name)).mode & 0o077).toBe(0)
    }
  })
})
