import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { DatabaseSupervisor } from '../../../guest-agent/supervisor.ts'
import { VolumeGuard } from '../../../guest-agent/volume-guard.ts'
import { freeBytesAt } from '../../../lib/kit/os/disk.ts'
import { memoryStopMark } from '../../guest-agent/memory-stop-mark.ts'
import { type Cluster, clock, log, newCluster } from './cluster.ts'

jest.setTimeout(60_000)

const MIB = 1 << 20
const READ_ONLY = '25006'

describe.each(['18', '15'])('the volume of a PostgreSQL %s', version => {
  let cluster: Cluster
  let supervisor: DatabaseSupervisor
  let guard: VolumeGuard
  let size: number
  const ended = new AbortController()
  /** Waits until the guard has brought the database into this state. */
  const until = async (status: string, words: string | undefined) => {
    const isReached = () => {
      const health = guard.health()
      return health.status === status && (words === undefined ? !health.message : health.message?.includes(words))
    }
    for (let tries = 0; !isReached() && tries < 800; tries++) await clock.sleep(50)
    expect(guard.health()).toEqual({ status, ...(words !== undefined && { message: expect.stringContaining(words) }) })
  }
  const session = () => cluster.connect('ann', 'pw1', 'cart')
  /** Writes as many MiB to the disk, and not to the log. */
  const written = (table: string, mib: number) =>
    `CREATE UNLOGGED TABLE ${table} AS SELECT repeat(md5(n::text), 31) FROM generate_series(1, ${mib * 1_000}) AS n`

  beforeAll(async () => {
    cluster = await newCluster(version)
    const users = [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }]
    await cluster.driver.prepare({ datastore_version: version, databases: [{ name: 'cart' }], users })
    const ann = await session()
    await ann.query('CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)')
    size = (await cluster.driver.used_bytes()) + 100 * MIB
    const { driver } = cluster
    supervisor = new DatabaseSupervisor({ driver, clock, log, stopMark: memoryStopMark() })
    supervisor.markHealthy()
    const freeBytes = () => freeBytesAt(cluster.context.volume)
    guard = new VolumeGuard({ driver, supervisor, clock, log, sizeBytes: () => size, freeBytes })
    void guard.run(ended.signal)
  })
  afterAll(async () => {
    ended.abort()
    await cluster.remove()
  })

  it('is read-only for new transactions past 95 %, in open sessions too, until there is less', async () => {
    const ann = await session()
    await ann.query(written('bulk', 96))
    await until('healthy', 'read-only')
    await expect(ann.query('INSERT INTO kept VALUES (43)')).rejects.toMatchObject({ code: READ_ONLY })
    await expect((await session()).query('CREATE TABLE other ()')).rejects.toMatchObject({ code: READ_ONLY })
    expect((await ann.query('SELECT n FROM kept')).rows).toEqual([{ n: 42 }])
    // The owner makes space; nobody else has to help.
    await ann.query('SET default_transaction_read_only = off')
    await ann.query('DROP TABLE bulk')
    await until('healthy', undefined)
    await (await session()).query('INSERT INTO kept VALUES (43)')
  })

  it('is no limit for the agent: it changes databases and users', async () => {
    const ann = await session()
    await ann.query(written('bulk', 96))
    await until('healthy', 'read-only')
    await cluster.driver.create_database({ databases: [{ name: 'more' }] })
    await cluster.driver.create_user({ users: [{ name: 'bob', password: 'pw2', databases: [{ name: 'more' }] }] })
    await cluster.driver.delete_user({ name: 'bob' })
    await cluster.driver.delete_database({ name: 'more' })
    await ann.query('SET default_transaction_read_only = off')
    await ann.query('DROP TABLE bulk')
    await until('healthy', undefined)
  })

  it('ends a writer at 110 %; the server comes back when that has freed its space', async () => {
    const pid = cluster.pid()
    const writer = await session()
    await expect(writer.query(written('endless', 100_000))).rejects.toThrow()
    await until('healthy', undefined)
    expect(cluster.pid()).not.toBe(pid)
    expect((await (await session()).query('SELECT count(*)::int AS rows FROM kept')).rows).toEqual([{ rows: 2 }])
  })

  it('stays stopped past 110 %; after a restart its owner deletes', async () => {
    const lifted = await cluster.connect('ann', 'pw1', 'cart', { options: '-c default_transaction_read_only=off' })
    const fill = async () => {
      for (let part = 1; part <= 100; part++) await lifted.query(written(`part${part}`, 10))
    }
    await expect(fill()).rejects.toThrow()
    await until('shutdown', 'The database was stopped')
    await expect(session()).rejects.toThrow()
    await guard.control(supervisor.control(async () => {})).restart({})
    const owner = await session()
    await expect(owner.query('INSERT INTO kept VALUES (44)')).rejects.toMatchObject({ code: READ_ONLY })
    await owner.query('SET default_transaction_read_only = off')
    const { rows } = await owner.query("SELECT tablename FROM pg_tables WHERE tablename LIKE 'part%'")
    expect(rows.length).toBeGreaterThan(5)
    for (const { tablename } of rows) await owner.query(`DROP TABLE ${tablename}`)
    await until('healthy', undefined)
    expect((await owner.query('SELECT n FROM kept ORDER BY n')).rows).toEqual([{ n: 42 }, { n: 43 }])
  })

  it('stops no longer once it is larger', async () => {
    const before = size
    size = (await cluster.driver.used_bytes()) / 1.2
    await until('shutdown', 'The database was stopped')
    size = before
    await until('healthy', undefined)
    await (await session()).query('INSERT INTO kept VALUES (45)')
  })
})
