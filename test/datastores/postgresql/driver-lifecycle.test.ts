import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { clusterPaths, initCluster, spawnServer } from '../../../lib/datastores/postgresql/cluster/cluster.ts'
import { type Cluster, clock, newCluster } from './cluster.ts'

jest.setTimeout(30_000)

const never = () => new AbortController().signal
const CANARY = 'canary-7f3e'

describe('a server', () => {
  let cluster: Cluster
  const files = (name: string) => join(cluster.context.volume, name)

  beforeAll(async () => {
    cluster = await newCluster()
  })
  afterAll(() => cluster.remove())

  it('is created with a private random password, and never over an existing cluster', async () => {
    expect(statSync(files('os_maint.pw')).mode & 0o777).toBe(0o600)
    expect(readFileSync(files('os_maint.pw'), 'utf8')).toMatch(/^[\w-]{32}$/)
    await expect(initCluster({ engine: cluster.context.engine, dir: cluster.context.volume })).rejects.toThrow('EEXIST')
    expect(await cluster.status()).toBe('new')
  })

  it('is prepared with databases and users, and repeating that changes nothing', async () => {
    const input = {
      databases: [{ name: 'app' }],
      users: [{ name: 'alice', password: CANARY, databases: [{ name: 'app' }] }],
    }
    await cluster.driver.prepare({ datastore_version: '18', ...input })
    const pid = cluster.pid()
    await cluster.driver.prepare({ datastore_version: '18', ...input })
    expect(cluster.pid()).toBe(pid)
    expect(await cluster.status()).toBe('healthy')
    const alice = await cluster.connect('alice', CANARY, 'app')
    await alice.query('CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)')
  })

  it('is adopted by a restarted agent', async () => {
    const pid = cluster.pid()
    const agent = cluster.restartAgent()
    await agent.start()
    expect(cluster.pid()).toBe(pid)
    expect(await cluster.status(agent)).toBe('healthy')
    expect((await agent.list_databases({ limit: 5 })).items).toEqual([{ name: 'app' }])
  })

  it('recovers from a crash, which exited() notices', async () => {
    const ended = cluster.driver.exited(never())
    process.kill(cluster.pid(), 'SIGKILL')
    await ended
    expect(await cluster.status()).toBe('crashed')
    await cluster.driver.start()
    expect(await cluster.status()).toBe('healthy')
    const alice = await cluster.connect('alice', CANARY, 'app')
    expect((await alice.query('SELECT n FROM kept')).rows).toEqual([{ n: 42 }])
  })

  it("starts although an old server's children are left and its pid belongs to another process", async () => {
    const alice = await cluster.connect('alice', CANARY, 'app')
    const busy = alice.query('SELECT count(*) FROM generate_series(1, 1000000000000)').catch(() => 'ended')
    process.kill(cluster.pid(), 'SIGKILL')
    // The server's own check would take any process of the same user for itself.
    const { uid, gid } = statSync(files('data'))
    const stranger = spawn('sleep', ['60'], process.getuid?.() === 0 ? { uid, gid } : {})
    const pidFile = files('data/postmaster.pid')
    const lockFile = files(`data/.s.PGSQL.${cluster.context.port}.lock`)
    for (const file of [pidFile, lockFile]) {
      writeFileSync(file, readFileSync(file, 'utf8').replace(/^\d+/, String(stranger.pid)))
    }
    try {
      await cluster.driver.start()
      expect(await cluster.status()).toBe('healthy')
      expect(await busy).toBe('ended')
      expect(stranger.exitCode).toBeNull()
    } finally {
      stranger.kill('SIGKILL')
      await once(stranger, 'exit')
    }
  })

  it('stops cleanly while sessions are open, and starts with its data', async () => {
    const alice = await cluster.connect('alice', CANARY, 'app')
    const ended = cluster.driver.exited(never())
    await cluster.driver.stop()
    await cluster.driver.stop()
    await ended
    expect(await cluster.status()).toBe('shutdown')
    await expect(alice.query('SELECT')).rejects.toThrow()
    await cluster.driver.start()
    expect((await cluster.driver.list_users({ limit: 5 })).items).toHaveLength(1)
  })

  it('stops waiting for its end when the signal is aborted', async () => {
    await cluster.driver.exited(AbortSignal.timeout(20))
    expect(await cluster.status()).toBe('healthy')
  })

  it('reports why it does not start', async () => {
    await cluster.driver.stop()
    const elsewhere = cluster.restartAgent({ address: '192.0.2.1' })
    await expect(elsewhere.start()).rejects.toThrow(/could not bind/)
    expect(await cluster.status(elsewhere)).toBe('shutdown')
    await expect(cluster.restartAgent({ engine: '/nonexistent' }).start()).rejects.toThrow('ENOENT')
    await cluster.driver.start()
    expect(await cluster.status()).toBe('healthy')
  })

  it('of an earlier version, without a socket for its agent, is restarted once when it is adopted', async () => {
    await cluster.driver.stop()
    const settings = files('data/coffer.conf')
    const rules = files('data/pg_hba.conf')
    const current = readFileSync(rules, 'utf8')
    const { data, log } = clusterPaths(cluster.context.volume)
    writeFileSync(
      settings,
      readFileSync(settings, 'utf8').replace(/^unix_socket_directories = .*$/m, "unix_socket_directories = ''"),
    )
    const earlier = ['127.0.0.0/8 scram-sha-256', 'samehost scram-sha-256', 'all reject'].map(
      rest => `host all "os_maint","os_admin" ${rest}`,
    )
    const ours = current.split('\n')
    writeFileSync(rules, [ours[0], ...earlier, ...ours.slice(4)].join('\n'))
    await spawnServer(cluster.context.engine, cluster.context.volume, cluster.context.owner)
    const pidLine = () =>
      existsSync(files('data/postmaster.pid')) ? readFileSync(files('data/postmaster.pid'), 'utf8') : ''
    while (!pidLine().includes('ready')) await clock.sleep(5)
    const pid = cluster.pid()
    expect(readdirSync(data)).not.toContain(`.s.PGSQL.${cluster.context.port}`)

    const agent = cluster.restartAgent()
    await agent.start()
    expect(cluster.pid()).not.toBe(pid)
    expect(readFileSync(rules, 'utf8')).toBe(current)
    expect(readFileSync(log, 'utf8')).toContain('database system is shut down')
    expect(await cluster.status(agent)).toBe('healthy')
    const alice = await cluster.connect('alice', CANARY, 'app')
    expect((await alice.query('SELECT n FROM kept')).rows).toEqual([{ n: 42 }])
    const next = cluster.pid()
    await cluster.restartAgent().start()
    expect(cluster.pid()).toBe(next)
  })

  it('shows no statement in the list of processes', async () => {
    const alice = await cluster.connect('alice', CANARY, 'app')
    const [{ pid }] = (await alice.query('SELECT pg_backend_pid() AS pid')).rows
    const busy = alice.query('SELECT pg_sleep(60)').catch(() => 'ended')
    const maint = await cluster.superuser()
    const isBusy = async () =>
      (await maint.query("SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active'", [pid])).rowCount === 1
    while (!(await isBusy())) await clock.sleep(5)
    const { stdout } = spawnSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' })
    expect(stdout).toContain('postgres')
    expect(stdout).not.toMatch(/SELECT|idle/)
    await maint.query('SELECT pg_terminate_backend($1)', [pid])
    expect(await busy).toBe('ended')
  })

  it('uses a new flavor from its next start on', async () => {
    await cluster.driver.stop()
    const larger = cluster.restartAgent({ flavor: { ramMb: 1024, vcpus: 2 } })
    await larger.start()
    const maint = await cluster.superuser()
    expect((await maint.query('SHOW shared_buffers')).rows).toEqual([{ shared_buffers: '256MB' }])
    expect((await maint.query('SHOW max_parallel_workers')).rows).toEqual([{ max_parallel_workers: '2' }])
    await larger.stop()
    await cluster.driver.start()
  })

  it('keeps its log small while it runs', async () => {
    truncateSync(files('server.log'), 11 * 1024 * 1024)
    await cluster.driver.used_bytes()
    expect(statSync(files('server.log')).size).toBeLessThan(1024)
    expect(existsSync(files('server.log.1'))).toBe(true)
  })

  it('counts the bytes of its volume', async () => {
    const before = await cluster.driver.used_bytes()
    expect(before).toBeGreaterThan(20 * 1024 * 1024)
    const filler = files('filler')
    writeFileSync(filler, Buffer.alloc(1024 * 1024, 1))
    expect(await cluster.driver.used_bytes()).toBeGreaterThan(before)
  })

  it('refuses ALTER SYSTEM even to its superuser', async () => {
    const maint = await cluster.superuser()
    await expect(maint.query('ALTER SYSTEM SET listen_addresses = 0')).rejects.toThrow('not allowed')
  })
})
