import { createHash } from 'node:crypto'

/** A usage plan, as API Gateway has them: for each of its keys a token bucket, and perhaps a quota. */
export interface Plan {
  name: string
  /** Requests a second for each key, and how many may come at once. */
  rate: number
  burst: number
  quota?: { limit: number; period: 'DAY' | 'WEEK' | 'MONTH' }
  /** Whoever has this role is on the plan. */
  role?: string
}

/** How many keys of each plan are deployed: projects share them by hash, as there is a bound on keys. */
export const KEYS = 32

/**
 * The tiers, the first that fits. All that is known of them is here; what is deployed is checked against it. A key's rate is
 * far above what Trove's own limit (200 a minute and verb) lets one project send: the plan protects the platform, not Trove's rules.
 */
export const PLANS: [Plan, ...Plan[]] = [
  { name: 'operator', rate: 200, burst: 400, role: 'admin' },
  { name: 'member', rate: 100, burst: 200 },
]

/** A key's value. It is no secret: keys are taken from the authorizer alone, never from a client. At least 20 characters, as asked for. */
export const keyOf = (plan: Pick<Plan, 'name'>, index: number, stage = 'local') =>
  `coffer-${stage}-usage-plan-${plan.name}-${String(index).padStart(2, '0')}`

/** The key that a project's requests are counted on. */
export function usageKey(
  { project, roles }: { project: string; roles: string[] },
  plans: Plan[] = PLANS,
  stage = 'local',
): string {
  const plan = plans.find(({ role }) => role === undefined || roles.includes(role)) ?? PLANS[PLANS.length - 1]!
  return keyOf(plan, indexOf(project), stage)
}

/** Projects whose key is remembered. */
const MOST_KNOWN = 1_000
const indexes = new Map<string, number>()

/** Which of its plan's keys a project has. */
function indexOf(project: string): number {
  const known = indexes.get(project)
  if (known !== undefined) return known
  const index = createHash('sha256').update(project).digest().readUInt32BE(0) % KEYS
  if (indexes.size >= MOST_KNOWN) indexes.clear()
  indexes.set(project, index)
  return index
}

/** The plans where another limit than Trove's 200 a minute, verb and project was chosen: never below eight times all four verbs of it. */
export function plansAbove(perMinute: number): Plan[] {
  const least = Math.ceil((8 * 4 * perMinute) / 60)
  return PLANS.map(plan => ({ ...plan, rate: Math.max(plan.rate, least), burst: Math.max(plan.burst, 2 * least) }))
}
