import { ok, type Route, route } from '../kit/http/route.ts'
import type { Throttle } from '../kit/throttle/throttle.ts'
import { timestampZ } from '../kit/time.ts'
import type { Platform } from '../platform/platform.ts'
import { allowanceOf } from '../quotas/quota.ts'
import { LimitList } from './schemas.ts'

const EVERY = { uri: '*', regex: '.*' }
const VERBS = ['POST', 'PUT', 'DELETE', 'GET']
/** Of the reference: its pattern never matches a whole URL, so that nothing is ever counted against it. */
const MGMT = { verb: 'POST', uri: '*/mgmt', regex: '^/mgmt' }

/** The quota's limits, and what is left of the rate limits; of these none where there is no limit. */
export const routes: Route<Platform>[] = [
  route(
    { method: 'GET', path: '/limits', summary: 'List limits', answers: ok(LimitList) },
    async ({ deps, project }) => {
      const { limits } = await allowanceOf(deps.store, project)
      const absolute = {
        verb: 'ABSOLUTE',
        max_instances: limits.instances,
        max_ram: limits.ram,
        max_volumes: limits.volumes,
        max_backups: limits.backups,
      }
      const rates = deps.throttle.perMinute === 0 ? [] : await ratesOf(deps.throttle, project, deps.clock.now())
      return { status: 200, body: { limits: [absolute, ...rates] } }
    },
  ),
]

async function ratesOf(throttle: Throttle, project: string, now: number) {
  const value = throttle.perMinute
  const view = (limit: { verb: string; uri: string; regex: string }, remaining: number, next: number) => ({
    ...limit,
    value,
    remaining,
    unit: 'MINUTE',
    // Rounded down, a client that has to wait would come too early.
    nextAvailable: timestampZ(next > now ? Math.ceil(next / 1_000) * 1_000 : now),
  })
  const rates = VERBS.map(async verb => {
    const { remaining, next } = await throttle.look(project, verb)
    return view({ verb, ...EVERY }, remaining, next)
  })
  return [...(await Promise.all(rates)), view(MGMT, value, now)]
}
