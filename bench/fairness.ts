import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Coffer, Session } from '../test/e2e/coffer.ts'
import { until } from '../test/e2e/coffer.ts'

const ASKS = 300
const QUEUED = 10_000

/** How a table's row is noted: what, values, unit. */
type Note = (what: string, values: number[], unit?: string) => void

async function asked(session: Session, count: number): Promise<number[]> {
  const times: number[] = []
  for (let run = 0; run < count; run++) {
    const start = performance.now()
    const { status } = await session.call('GET', '/instances')
    if (status !== 200) throw new Error(`answered ${status}`)
    times.push(performance.now() - start)
  }
  return times
}

const p99 = (times: number[]) => [...times].sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0

/** What a project's requests take alone, and while another has 10,000 requests queued. `--rate 0`: else these are refused. */
export async function benchFairness(coffer: Coffer, flooding: Session, other: Session, note: Note): Promise<void> {
  await asked(other, 50)
  const alone = await asked(other, ASKS)
  const url = `${coffer.base}/v1.0/${flooding.project}/instances`
  const program = join(import.meta.dirname, 'flood.ts')
  const flood = spawn(process.execPath, [program, url, flooding.token, String(QUEUED)], {
    stdio: ['ignore', 'pipe', 2],
  })
  let output = ''
  flood.stdout?.on('data', chunk => {
    output += chunk
  })
  await until('flood', async () => output.includes('full'))
  const waiting = async () => Number(/^coffer_requests_waiting (\d+)$/m.exec(await metricsOf(coffer))?.[1])
  await until('queue', async () => (await waiting()) > QUEUED * 0.9)
  const start = performance.now()
  const crowded = await asked(other, ASKS)
  const seconds = (performance.now() - start) / 1_000
  note('fairness: requests that another project has queued meanwhile', [await waiting()], 'requests')
  flood.kill('SIGTERM')
  await once(flood, 'exit')
  await sleep(100)
  note('fairness: GET instances, alone', alone)
  note('fairness: the same, with 10,000 requests of another project queued', crowded)
  note('fairness: p99 crowded / p99 alone', [p99(crowded) / p99(alone)], '×')
  note('fairness: requests of the other project answered', [Number(/answered (\d+)/.exec(output)?.[1]) / seconds], '/s')
  await until('end of the queue', async () => (await waiting()) === 0)
}

async function metricsOf({ base }: Coffer): Promise<string> {
  return (await fetch(`${base}/metrics`)).text()
}
