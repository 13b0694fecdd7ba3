import { type ForkOptions, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { login, type Session, wipe } from '../test/e2e/coffer.ts'
import { tempDir } from '../test/e2e/temp-dir.ts'
import { ANN } from './create.ts'
import { withoutQuota } from './idle.ts'
import { load, type Shot } from './load.ts'
import { noteRequests } from './requests.ts'
import type { Note } from './table.ts'
import { usageOf } from './usage.ts'

const CREATES = 1_000
const RUNS = 3
const MAX_MS = 300_000
/** A disk that takes long for each sync, as one behind a network does. */
const SLOW_SYNC_MS = 5
/** Often enough to measure seconds, and rarely enough to be no load. */
const POLL_MS = 200
const RATE = '1000000000'

/** A control plane with simulated guests, see `cloud.ts`. */
interface Simulated {
  dataDir: string
  base: string
  pid: number
  demo: Session
  /** Starts the consumers: from now on creates are carried out. */
  startConsumers(): void
  end(): Promise<void>
}

/** Each sync of the store takes `syncMs`; undefined: what this disk takes. */
async function startSimulated(syncMs?: number): Promise<Simulated> {
  const dataDir = join(tempDir(), 'data')
  const options: ForkOptions = {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    execArgv: ['--disable-warning=ExperimentalWarning'],
  }
  const child = fork(
    join(import.meta.dirname, 'cloud.ts'),
    [dataDir, RATE, ...(syncMs === undefined ? [] : [String(syncMs)])],
    options,
  )
  // Its log is read and dropped.
  child.stdout?.resume()
  const [{ base }] = await once(child, 'message')
  const demo = await login(join(dataDir, 'openrc'))
  await withoutQuota(await login(join(dataDir, 'openrc-admin')), demo)
  return {
    dataDir,
    base,
    pid: child.pid ?? 0,
    demo,
    startConsumers: () => void child.send('work'),
    async end() {
      const exited = once(child, 'exit')
      child.disconnect()
      await exited
      await wipe(dataDir)
    },
  }
}

/**
 * Create requests of a project without quota. Authorizer, throttle and usage plans are on; no create is carried out.
 */
export async function benchCreateRequests(note: Note): Promise<void> {
  for (const syncMs of [undefined, SLOW_SYNC_MS]) {
    const cloud = await startSimulated(syncMs)
    const title = `POST instances, not carried out${syncMs === undefined ? '' : `, a disk of ${syncMs} ms`}`
    await noteRequests(cloud, title, create(cloud.demo), note)
    await cloud.end()
  }
}

/** A thousand creates, requested over 16 connections and carried out by one process with their simulated guests. */
export async function benchThousand(note: Note): Promise<void> {
  const times: number[] = []
  const cpus: number[] = []
  for (let run = 0; run < RUNS; run++) {
    const cloud = await startSimulated()
    cloud.startConsumers()
    const before = usageOf(cloud.pid).cpu
    const start = performance.now()
    const { statuses } = await load(cloud.base, 16, MAX_MS, create(cloud.demo), CREATES)
    if (statuses['200'] !== CREATES) throw new Error(`answered ${JSON.stringify(statuses)}`)
    while ((await countDone(cloud)) < CREATES) await sleep(POLL_MS)
    times.push((performance.now() - start) / 1_000)
    cpus.push(((usageOf(cloud.pid).cpu - before) / CREATES) * 1_000)
    await cloud.end()
  }
  note('1,000 creates → ACTIVE, simulated guests in the same process', times, 's')
  note('of that, CPU for each create, request to ACTIVE, its guest included', cpus)
}

const create =
  ({ project, token }: Session): (() => Shot) =>
  () => ({
    method: 'POST',
    path: `/v1.0/${project}/instances`,
    headers: { 'x-auth-token': token, 'content-type': 'application/json' },
    body: JSON.stringify({ instance: { name: 'many', flavorRef: 1, volume: { size: 1 }, ...ANN } }),
  })

/** How many creates are done. Throws if one has failed. */
async function countDone({ base }: Simulated): Promise<number> {
  const text = await (await fetch(`${base}/metrics`)).text()
  const count = (status: string) =>
    Number(
      new RegExp(`^coffer_operations_ended_total\\{name="create_instance",status="${status}"\\} (\\d+)`, 'm').exec(
        text,
      )?.[1] ?? 0,
    )
  if (count('FAILED') > 0) throw new Error(`${count('FAILED')} creates failed`)
  return count('DONE')
}
