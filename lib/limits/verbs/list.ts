import type { Call, Reply } from '../../kit/http/route.ts'
import { timestampZ } from '../../kit/time.ts'
import { loadLimits } from '../../model/quota.ts'
import type { Platform } from '../../platform/platform.ts'
import type { Throttle } from '../../ports/throttle.ts'

const EVERY = { uri: '*', regex: '.*' }
const VERBS = ['POST', 'PUT', 'DELETE', 'GET']
/** Trove lists this limit, but its pattern never matches a full URL: no request counts against it. */
const MGMT = { verb: 'POST', uri: '*/mgmt', regex: '^/mgmt' }

/** `GET /limits`: the quota's limits, and what remains of the rate limits if there are any. */
export async function listLimits({ deps, project }: Call<unknown, Platform>): Promise<Reply> {
  const { limits } = await loadLimits(deps.store, project)
  const absolute = {
    verb: 'ABSOLUTE',
    max_instances: limits.instances,
    max_ram: limits.ram,
    max_volumes: limits.volumes,
    max_backups: limits.backups,
  }
  const rates = deps.throttle.perMinute === 0 ? [] : await rateLimits(deps.throttle, project, deps.clock.now())
  return { status: 200, body: { limits: [absolute, ...rates] } }
}

async function rateLimits(throttle: Throttle, project: string, now: number) {
  const value = throttle.perMinute
  const view = (limit: { verb: string; uri: string; regex: string }, remaining: number, next: number) => ({
    ...limit,
    value,
    remaining,
    unit: 'MINUTE',
    // Rounded up: a client that waits until a time rounded down would come too early.
    nextAvailable: timestampZ(next > now ? Math.ceil(next / 1_000) * 1_000 : now),
  })
  const rates = VERBS.map(async verb => {
    const { remaining, next } = await throttle.look(project, verb)
    return view({ verb, ...EVERY }, remaining, next)
  })
  return [...(await Promise.all(rates)), view(MGMT, value, now)]
}
