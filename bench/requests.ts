import { type Coffer, type Session, startCoffer, wipe } from '../test/e2e/coffer.ts'
import { type Load, load, type Shot } from './load.ts'
import { seed } from './seed.ts'
import { median, type Note } from './table.ts'
import { usageOf } from './usage.ts'

export const CONNECTIONS = [1, 16, 64]
const WARM_UP_MS = 2_000
const RUN_MS = 2_000
const RUNS = 3
/** The throttle and the usage plans count each request, but refuse none. */
export const HIGH_RATE = ['--rate', '1000000000']

/** The result of `load`, and the server's CPU time for each request, in microseconds. */
export type Measured = Load & { cpu: number }

/** Measures a run of requests; throws if one was not answered with 200. */
export async function measure(
  server: { base: string; pid: number },
  connections: number,
  ms: number,
  shot: () => Shot,
): Promise<Measured> {
  const before = usageOf(server.pid).cpu
  const run = await load(server.base, connections, ms, shot)
  const others = Object.keys(run.statuses).filter(status => status !== '200')
  if (others.length > 0) throw new Error(`answered ${JSON.stringify(run.statuses)}`)
  return { ...run, cpu: ((usageOf(server.pid).cpu - before) / run.requests) * 1_000_000 }
}

/** Measures a kind of request at each number of connections, and notes the medians of the runs. */
export async function noteRequests(
  server: { base: string; pid: number },
  title: string,
  shot: () => Shot,
  note: Note,
): Promise<void> {
  await measure(server, 16, WARM_UP_MS, shot)
  for (const connections of CONNECTIONS) {
    const runs: Measured[] = []
    for (let run = 0; run < RUNS; run++) runs.push(await measure(server, connections, RUN_MS, shot))
    const valuesOf = (key: 'perSecond' | 'p50' | 'p99' | 'cpu') => runs.map(run => run[key])
    const name = `${title}, ${connections} connection(s)`
    note(name, valuesOf('perSecond'), 'requests/s')
    note(`${name}: p50`, [median(valuesOf('p50'))])
    note(`${name}: p99`, [median(valuesOf('p99'))])
    note(`${name}: CPU`, valuesOf('cpu'), 'µs/request')
  }
}

/** A GET below the session's project. */
export const get =
  ({ project, token }: Session, path: string): (() => Shot) =>
  () => ({ method: 'GET', path: `/v1.0/${project}${path}`, headers: { 'x-auth-token': token } })

/**
 * Starts a cloud with that many instances in demo's project. They are records only, on no machine: enough for reads.
 */
export async function startSeeded(count: number): Promise<{ coffer: Coffer; demo: Session; ids: string[] }> {
  const empty = await startCoffer()
  const { project } = await empty.login()
  await empty.stop()
  const ids = await seed(empty.dataDir, project, count)
  const coffer = await startCoffer(empty.dataDir, HIGH_RATE)
  return { coffer, demo: await coffer.login(), ids }
}

/** Reads with 20 instances in the store; authorizer, throttle and usage plans are on. */
export async function benchRequests(note: Note): Promise<void> {
  const { coffer, demo, ids } = await startSeeded(20)
  await noteRequests(coffer, 'GET an instance', get(demo, `/instances/${ids[7]}`), note)
  await noteRequests(coffer, 'GET instances, a list of 20', get(demo, '/instances'), note)
  await noteRequests(coffer, 'GET flavors', get(demo, '/flavors'), note)
  await coffer.stop()
  await wipe(coffer.dataDir)
}
