import { RateLimited } from '../lib/kit/errors.ts'
import { KEYS, keyOf, type Plan } from '../lib/limits/plans.ts'

/** Enforces usage plans as API Gateway does. */
export interface UsagePlans {
  /** Counts a request on its key. Throws RateLimited (429). A key of no plan is not limited. */
  take(key: string): void
}

const DAY = 86_400_000
/** Days of a period; a month is taken as 30, from the epoch. */
const DAYS = { DAY: 1, WEEK: 7, MONTH: 30 }

interface Usage {
  plan: Plan
  /** What the bucket holds, and when that was so. */
  tokens: number
  at: number
  /** Requests in the period with this number. */
  used: number
  period: number
}

export function usagePlans(plans: Plan[], clock: { now(): number }): UsagePlans {
  const usages = new Map<string, Usage>()
  for (const plan of plans) {
    for (let index = 0; index < KEYS; index++) {
      usages.set(keyOf(plan, index), { plan, tokens: plan.burst, at: clock.now(), used: 0, period: 0 })
    }
  }
  return {
    take(key) {
      const usage = usages.get(key)
      if (!usage) return
      const now = clock.now()
      refill(usage, now)
      const { plan } = usage
      if (usage.tokens < 1) throw limited(plan, (1_000 * (1 - usage.tokens)) / plan.rate)
      const over = plan.quota && usage.used >= plan.quota.limit
      if (over) throw limited(plan, (usage.period + 1) * lengthOf(plan) - now)
      usage.tokens--
      usage.used++
    },
  }
}

function refill(usage: Usage, now: number): void {
  const { plan, at, tokens } = usage
  usage.tokens = Math.min(plan.burst, tokens + (Math.max(0, now - at) / 1_000) * plan.rate)
  usage.at = now
  const period = Math.floor(now / lengthOf(plan))
  if (period !== usage.period) Object.assign(usage, { period, used: 0 })
}

const lengthOf = ({ quota }: Plan) => DAYS[quota?.period ?? 'DAY'] * DAY

const limited = ({ name }: Plan, waitMs: number) =>
  new RateLimited(429, `More requests than the usage plan '${name}' allows.`, waitMs)
