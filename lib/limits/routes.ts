import { type Route, route } from '../kit/http/route.ts'
import { timestampZ } from '../kit/time.ts'
import type { Platform } from '../platform/platform.ts'
import { allowanceOf } from '../quotas/quota.ts'

const RATE = { value: 200, unit: 'MINUTE' }
const RATED = [
  { verb: 'POST', uri: '*', regex: '.*' },
  { verb: 'PUT', uri: '*', regex: '.*' },
  { verb: 'DELETE', uri: '*', regex: '.*' },
  { verb: 'GET', uri: '*', regex: '.*' },
  { verb: 'POST', uri: '*/mgmt', regex: '^/mgmt' },
]

/** The quota's limits, and the rate limits of reference; nothing is throttled yet, so that everything remains. */
export const routes: Route<Platform>[] = [
  route({ method: 'GET', path: '/limits', summary: 'List limits' }, async ({ deps, project }) => {
    const { limits } = await allowanceOf(deps.store, project)
    const absolute = {
      verb: 'ABSOLUTE',
      max_instances: limits.instances,
      max_ram: limits.ram,
      max_volumes: limits.volumes,
      max_backups: limits.backups,
    }
    const nextAvailable = timestampZ(deps.clock.now())
    const rates = RATED.map(rate => ({ ...rate, ...RATE, remaining: RATE.value, nextAvailable }))
    return { status: 200, body: { limits: [absolute, ...rates] } }
  }),
]
