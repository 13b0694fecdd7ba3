import { wipe } from '../test/e2e/coffer.ts'
import { get, type Measured, measure, startSeeded } from './requests.ts'
import { median, type Note } from './table.ts'

const COUNTS = [100, 10_000, 100_000]
const CONNECTIONS = 16
const RUNS = 5
const RUN_MS = 1_500
const GOLDEN = 0.618_033_988_75

/**
 * Whether a request's cost depends on the number of instances. The clouds take turns, so that other load affects all
 * alike.
 */
export async function benchScale(note: Note): Promise<void> {
  const clouds = []
  for (const count of COUNTS) clouds.push({ count, ...(await startSeeded(count)) })
  // Multiples of the golden ratio: ids spread evenly, the same positions in each cloud.
  let turn = 0
  const pick = (ids: string[]) => ids[Math.floor(((turn++ * GOLDEN) % 1) * ids.length)] ?? ''
  const kinds = {
    'GET an instance': (ids: string[]) => `/instances/${pick(ids)}`,
    'GET instances, the first 20': () => '/instances',
    // Reads records that are not in any cache: the worst case.
    'GET instances, 20 after a random one': (ids: string[]) => `/instances?marker=${pick(ids)}`,
  }
  for (const [title, pathOf] of Object.entries(kinds)) {
    const runs = new Map<number, Measured[]>(COUNTS.map(count => [count, []]))
    for (let run = -1; run < RUNS; run++) {
      for (const { count, coffer, demo, ids } of clouds) {
        const measurement = await measure(coffer, CONNECTIONS, RUN_MS, () => get(demo, pathOf(ids))())
        // The first run warms up.
        if (run >= 0) runs.get(count)?.push(measurement)
      }
    }
    noteScale(title, runs, note)
  }
  for (const { coffer } of clouds) {
    await coffer.stop()
    await wipe(coffer.dataDir)
  }
}

function noteScale(title: string, runs: Map<number, Measured[]>, note: Note): void {
  const fewest = (runs.get(COUNTS[0] ?? 0) ?? []).map(({ cpu }) => cpu)
  for (const [count, measurements] of runs) {
    const name = `${title}, of ${count.toLocaleString('en')}`
    note(
      name,
      measurements.map(({ perSecond }) => perSecond),
      'requests/s',
    )
    const cpus = measurements.map(({ cpu }) => cpu)
    note(`${name}: CPU`, cpus, 'µs/request')
    note(`${name}: CPU, compared with the fewest`, [median(cpus) / median(fewest)], '×')
  }
}
