import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { filesBelow, readIfPresent } from '../../../files.ts'
import { type Cluster, newCluster } from '../cluster.ts'

jest.setTimeout(60_000)

const CANARY = 'root-canary-7f3a'
let cluster: Cluster
const login = (password: string, database = 'postgres') => cluster.connect('root', password, database)
const LOGIN_REFUSED = /password authentication failed|not permitted to log in/

beforeAll(async () => {
  cluster = await newCluster()
  cluster.context.root = 'superuser'
  await cluster.driver.prepare({ datastore_version: '18', databases: [{ name: 'app' }], users: [] })
})
afterAll(() => cluster.remove())

describe('root as a superuser', () => {
  it('does not exist at first, and disabling it then changes nothing', async () => {
    expect(await cluster.driver.is_root_enabled({})).toBe(false)
    await cluster.driver.disable_root({})
    await expect(login('x')).rejects.toThrow(LOGIN_REFUSED)
  })

  it('is a superuser in every database', async () => {
    const { driver } = cluster
    await driver.enable_root_with_password({ root_password: `${CANARY}-1` })
    expect(await driver.is_root_enabled({})).toBe(true)
    const root = await login(`${CANARY}-1`, 'app')
    expect((await root.query('SHOW is_superuser')).rows).toEqual([{ is_superuser: 'on' }])
    await root.query('CREATE TABLE mine (id int); INSERT INTO mine VALUES (1)')
    await root.query('CREATE ROLE other SUPERUSER; DROP ROLE other')
  })

  it('gets a new password and can log in, whatever the tenant changed about it', async () => {
    const { driver } = cluster
    const root = await login(`${CANARY}-1`)
    await root.query("ALTER ROLE root CONNECTION LIMIT 0 VALID UNTIL '2001-01-01'")
    for (const _ of ['once', 'again']) await driver.enable_root_with_password({ root_password: `${CANARY}-2` })
    await expect(login(`${CANARY}-1`)).rejects.toThrow(LOGIN_REFUSED)
    await login(`${CANARY}-2`)
    for (const bad of ['', 'a\0b', '\ud83d']) {
      await expect(driver.enable_root_with_password({ root_password: bad })).rejects.toMatchObject({
        name: 'RejectedByDatastore',
        code: 400,
      })
    }
  })

  it('is not listed among the users, and no user verb affects it', async () => {
    const { driver } = cluster
    expect(await driver.list_users({ limit: 10 })).toEqual({ items: [] })
    expect(await driver.get_user({ name: 'root' })).toBeNull()
    await expect(driver.delete_user({ name: 'root' })).rejects.toMatchObject({ code: 404 })
  })

  it('cannot log in once disabled, has no session left, and keeps its objects', async () => {
    const { driver } = cluster
    const root = await login(`${CANARY}-2`, 'app')
    // It would run as a superuser for whoever may call it.
    await root.query(`CREATE FUNCTION mighty() RETURNS text LANGUAGE sql SECURITY DEFINER
      RETURN (SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user)`)
    const ended = new Promise(resolve => root.once('end', resolve))
    for (const _ of ['once', 'again']) await driver.disable_root({})
    await ended
    expect(await driver.is_root_enabled({})).toBe(false)
    await expect(login(`${CANARY}-2`, 'app')).rejects.toThrow(LOGIN_REFUSED)
    const superuser = await cluster.superuser('app')
    const rows = async (text: string) => (await superuser.query(text)).rows
    expect(await rows("SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = 'root'")).toEqual([{ n: 0 }])
    expect(await rows("SELECT tableowner FROM pg_tables WHERE tablename = 'mine'")).toEqual([{ tableowner: 'root' }])
    expect(await rows('SELECT * FROM mine')).toEqual([{ id: 1 }])
    expect(await rows('SELECT mighty()')).toEqual([{ mighty: 'false' }])
  })

  it("can be enabled again with its objects, and the agent's roles work meanwhile", async () => {
    const { driver } = cluster
    await driver.create_database({ databases: [{ name: 'later' }] })
    await driver.create_user({ users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'later' }] }] })
    expect(await cluster.status()).toBe('healthy')
    await driver.enable_root_with_password({ root_password: `${CANARY}-3` })
    const root = await login(`${CANARY}-3`, 'app')
    expect((await root.query('SELECT * FROM mine')).rows).toEqual([{ id: 1 }])
  })

  it("leaves no password in any file of the volume, and none in the server's log", () => {
    const { volume } = cluster.context
    expect(filesBelow(volume).filter(path => readIfPresent(path).includes(CANARY))).toEqual([])
  })
})

describe('diagnostics', () => {
  it("show the running server's version and process", async () => {
    const diagnostics = await cluster.driver.diagnostics()
    expect(diagnostics.version).toBe(readFileSync(join(cluster.context.volume, 'data', 'PG_VERSION'), 'utf8').trim())
    expect(diagnostics).toMatchObject({ threads: 1, fdSize: expect.any(Number) })
    expect(diagnostics.vmPeak).toBeGreaterThanOrEqual(diagnostics.vmSize)
    expect(diagnostics.vmHwm).toBeGreaterThanOrEqual(diagnostics.vmRss)
    expect(diagnostics.vmRss).toBeGreaterThan(0)
  })

  it('are rejected while no server runs', async () => {
    await cluster.driver.stop()
    await expect(cluster.driver.diagnostics()).rejects.toMatchObject({ name: 'RejectedByDatastore', code: 422 })
  })
})
