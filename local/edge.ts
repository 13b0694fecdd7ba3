import { isIPv4 } from 'node:net'
import type { Clock } from '../lib/kit/clock.ts'
import { plansAbove } from '../lib/limits/plans.ts'
import { type Admission, admission, type Owners, owners } from './admission.ts'
import { type Registry, registry } from './metrics.ts'
import { metricsText, type Scraped } from './scrape.ts'
import { type UsagePlans, usagePlans } from './usage-plans.ts'

/** What stands between the gateway and the functions, and counts what passes. */
export interface Edge {
  admission: Admission
  owners: Owners
  plans: UsagePlans
  registry: Registry
  /** What `/metrics` answers. */
  metrics(): Promise<string>
}

/** Requests at work at once: of one loop, so that more would only make each turn of it longer. One that takes longer than PLACE_MS waits for an agent, and another goes on meanwhile. */
const WIDTH = 8
const PLACE_MS = 50
/** As many as one project may have waiting; about 100 MB. */
const MOST_WAITING = 20_000
/** From so many waiting on a project's connections are not read: enough for all places at any time. */
const CROWD = 64

/** The edge of one process. `rate` as of `--rate`: requests a minute, 0 = no limit of either layer. */
export function edge(rate: number, clock: Clock, counted: Registry = registry()): EdgeParts {
  const started = clock.now()
  const admitted = admission({ clock, width: WIDTH, placeMs: PLACE_MS, most: MOST_WAITING, crowd: CROWD })
  return {
    admission: admitted,
    owners: owners(),
    plans: usagePlans(rate === 0 ? [] : plansAbove(rate), clock),
    registry: counted,
    metricsOf: platform => () => metricsText({ platform, registry: counted, admission: admitted, started }),
  }
}

/** An edge before there is a platform to look at. */
export type EdgeParts = Omit<Edge, 'metrics'> & { metricsOf(platform: Scraped['platform']): Edge['metrics'] }

/** Headers that a proxy adds: behind one every client seems to be on this machine. */
const FORWARDED = ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip']

/** Whether a request was made on this machine itself, and not through a proxy. */
export function isLocal({ remote, headers }: { remote: string; headers: Record<string, string> }): boolean {
  if (FORWARDED.some(name => headers[name] !== undefined)) return false
  const address = remote.startsWith('::ffff:') ? remote.slice('::ffff:'.length) : remote
  return address === '::1' || (isIPv4(address) && address.startsWith('127.'))
}
