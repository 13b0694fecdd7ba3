import { createHash } from 'node:crypto'

/** A usage plan, as in API Gateway: each of its keys has a token bucket and, if given, a quota. */
export interface Plan {
  name: string
  /** Requests per second for each key, and how many may come in a burst. */
  rate: number
  burst: number
  quota?: { limit: number; period: 'DAY' | 'WEEK' | 'MONTH' }
  /** Callers with this role are on the plan. Missing: everyone is. */
  role?: string
}

/** How many keys each plan has. Projects share them by hash, because AWS limits the number of keys. */
export const KEYS = 32

/**
 * The plans; the first one that fits a caller applies. Deployments are checked against this list. A key's rate is far
 * above what Trove's own limit (200 per minute and verb) lets one project send: the plan protects the platform, it does
 * not enforce Trove's rules.
 */
export const PLANS: [Plan, ...Plan[]] = [
  { name: 'operator', rate: 200, burst: 400, role: 'admin' },
  { name: 'member', rate: 100, burst: 200 },
]

/**
 * The value of a key; API Gateway requires at least 20 characters. It is no secret: the authorizer names the key, not
 * the client.
 */
export const planKey = (plan: Pick<Plan, 'name'>, index: number, stage = 'local') =>
  `coffer-${stage}-usage-plan-${plan.name}-${String(index).padStart(2, '0')}`

/** The key that a project's requests count against. */
export function usageKey(
  { project, roles }: { project: string; roles: string[] },
  plans: Plan[] = PLANS,
  stage = 'local',
): string {
  const plan = plans.find(({ role }) => role === undefined || roles.includes(role)) ?? PLANS[PLANS.length - 1]!
  return planKey(plan, keyIndex(project), stage)
}

const MAX_CACHED_PROJECTS = 1_000
const indexCache = new Map<string, number>()

/** Which of its plan's keys a project has. */
function keyIndex(project: string): number {
  const cached = indexCache.get(project)
  if (cached !== undefined) return cached
  const index = createHash('sha256').update(project).digest().readUInt32BE(0) % KEYS
  if (indexCache.size >= MAX_CACHED_PROJECTS) indexCache.clear()
  indexCache.set(project, index)
  return index
}

/** The plans for another limit than Trove's 200 per minute and verb: at least eight times that of all four verbs. */
export function plansForRate(perMinute: number): Plan[] {
  const minRate = Math.ceil((8 * 4 * perMinute) / 60)
  return PLANS.map(plan => ({
    ...plan,
    rate: Math.max(plan.rate, minRate),
    burst: Math.max(plan.burst, 2 * minRate),
  }))
}
