import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { initCluster } from '../../../lib/datastores/postgresql/cluster/cluster.ts'
import { type Cluster, newCluster } from './cluster.ts'

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
    writeFileSync(pidFile, readFileSync(pidFile, 'utf8').replace(/^\d+/, String(stranger.pid)))
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
