import { isIPv4 } from 'node:net'
import type { Clock } from '../../lib/kit/clock.ts'
import { plansForRate } from '../../lib/limits/plans.ts'
import { type Registry, registry } from '../metrics.ts'
import { BodyBudget } from './bodies.ts'
import { FairQueue } from './fair-queue.ts'
import { type MetricsSources, metricsText } from './metrics.ts'
import { TokenProjects } from './token-projects.ts'
import { type UsagePlans, usagePlans } from './usage-plans.ts'

/** What stands between the gateway and the functions, and counts requests. */
export interface GatewayLimits {
  fairQueue: FairQueue
  tokenProjects: TokenProjects
  bodies: BodyBudget
  plans: UsagePlans
  registry: Registry
  /** The text of `/metrics`. */
  metrics(): Promise<string>
}

/**
 * Requests that run at once. They share one event loop, so that more would only make each of its turns longer. A
 * request that takes longer than PLACE_MS waits for an agent, and the next one starts meanwhile.
 */
const WIDTH = 8
const PLACE_MS = 50
/** Waiting requests of one project; about 100 MB. */
const MAX_WAITING = 20_000
/** From so many waiting requests on, a project's connections are not read: enough to keep all places busy. */
const BACKLOG_LIMIT = 64

/** The limits of one process. `rate` as of `--rate`: requests a minute; 0 turns off usage plans too. */
export function gatewayLimits(rate: number, clock: Clock, metrics: Registry = registry()): UnwiredLimits {
  const started = clock.now()
  const options = { clock, width: WIDTH, placeMs: PLACE_MS, maxWaiting: MAX_WAITING, backlogLimit: BACKLOG_LIMIT }
  const fairQueue = new FairQueue(options)
  return {
    fairQueue,
    tokenProjects: new TokenProjects(),
    bodies: new BodyBudget(),
    plans: usagePlans(rate === 0 ? [] : plansForRate(rate), clock),
    registry: metrics,
    metricsOf: platform => () => metricsText({ platform, registry: metrics, fairQueue, started }),
  }
}

/** The limits before there is a platform whose metrics can be read. */
type UnwiredLimits = Omit<GatewayLimits, 'metrics'> & {
  metricsOf(platform: MetricsSources['platform']): GatewayLimits['metrics']
}

/** Headers that a proxy adds: behind one, every client seems to be on this machine. */
const FORWARDED = ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip']

/** Whether a request comes from this machine itself, and not through a proxy. */
export function isLocal({ remote, headers }: { remote: string; headers: Record<string, string> }): boolean {
  if (FORWARDED.some(name => headers[name] !== undefined)) return false
  const address = remote.startsWith('::ffff:') ? remote.slice('::ffff:'.length) : remote
  return address === '::1' || (isIPv4(address) && address.startsWith('127.'))
}
