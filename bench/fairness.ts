import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { rawRequest } from '../test/e2e/api-helpers.ts'
import { type Coffer, type Session, startCoffer, until, wipe } from '../test/e2e/coffer.ts'
import { type Note, quantile } from './table.ts'

/** So many that the slowest hundredth is more than a handful. */
const REQUESTS = 3_000
const ARRIVING = 1_000
const QUEUED = 10_000

/** Times of requests, each on a connection of its own: the server would now and then close one that is kept open. */
async function measureRequests({ base }: Coffer, { project, token }: Session, count: number): Promise<number[]> {
  const times: number[] = []
  for (let run = 0; run < count; run++) {
    const start = performance.now()
    const { status } = await rawRequest('GET', base, `/v1.0/${project}/instances`, { 'x-auth-token': token })
    if (status !== 200) throw new Error(`answered ${status}`)
    times.push(performance.now() - start)
  }
  return times
}

const p99 = (times: number[]) => quantile(times, 0.99)

/** How long a project's requests take alone, and while another project has 10,000 requests queued. */
export async function benchFairness(note: Note): Promise<void> {
  const coffer = await startCoffer()
  await compare(coffer, await coffer.login(), await coffer.login('openrc-alt'), note)
  await coffer.stop()
  await wipe(coffer.dataDir)
}

async function compare(coffer: Coffer, flooding: Session, other: Session, note: Note): Promise<void> {
  await measureRequests(coffer, other, ARRIVING)
  const alone = await measureRequests(coffer, other, REQUESTS)
  const url = `${coffer.base}/v1.0/${flooding.project}/instances`
  const program = join(import.meta.dirname, 'flood.ts')
  const flood = fork(program, [url, flooding.token, String(QUEUED)])
  await once(flood, 'message')
  const arriving = await measureRequests(coffer, other, ARRIVING)
  const before = await countsOf(flood, 'count')
  const start = performance.now()
  const crowded = await measureRequests(coffer, other, REQUESTS)
  const seconds = (performance.now() - start) / 1_000
  const after = await countsOf(flood, 'end')
  note('fairness: requests that another project has queued meanwhile', [before.queued, after.queued], 'requests')
  note('fairness: GET instances, alone', alone)
  note('fairness: the same, with 10,000 requests of another project queued', crowded)
  note('fairness: p99 crowded / p99 alone', [p99(crowded) / p99(alone)], '×')
  note('fairness: p99 from the moment they come / p99 alone', [p99(arriving) / p99(alone)], '×')
  note('fairness: requests of the other project answered', [(after.responses - before.responses) / seconds], '/s')
  await until('end of the queue', async () => /^coffer_requests_waiting 0$/m.test(await metricsOf(coffer)))
}

/** The flood's counts, which it sends for each message; `end` also ends it. */
async function countsOf(flood: ChildProcess, message: 'count' | 'end'): Promise<{ queued: number; responses: number }> {
  flood.send(message)
  const [counts] = await once(flood, 'message')
  return counts
}

async function metricsOf({ base }: Coffer): Promise<string> {
  return (await rawRequest('GET', base, '/metrics')).text
}
