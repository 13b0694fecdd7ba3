import { RateLimited } from '../../lib/kit/errors.ts'
import { KEYS, type Plan, planKey } from '../../lib/limits/plans.ts'

/** Enforces usage plans as API Gateway does: a token bucket and perhaps a quota for each key. */
export interface UsagePlans {
  /** Counts a request on its key. Throws RateLimited (429). A key of no plan is not limited. */
  take(key: string): void
}

const DAY = 86_400_000
/** Days in a period. Periods are counted from the epoch; a month has 30 days. */
const DAYS = { DAY: 1, WEEK: 7, MONTH: 30 }

interface Usage {
  plan: Plan
  /** Tokens that the bucket held at the time `refilled`. */
  tokens: number
  refilled: number
  /** Requests so far in the period with the number `period`. */
  used: number
  period: number
}

export function usagePlans(plans: Plan[], clock: { now(): number }): UsagePlans {
  const usages = new Map<string, Usage>()
  for (const plan of plans) {
    for (let index = 0; index < KEYS; index++) {
      usages.set(planKey(plan, index), { plan, tokens: plan.burst, refilled: clock.now(), used: 0, period: 0 })
    }
  }
  return {
    take(key) {
      const usage = usages.get(key)
      if (!usage) return
      const now = clock.now()
      refill(usage, now)
      const { plan } = usage
      if (usage.tokens < 1) throw rateLimited(plan, (1_000 * (1 - usage.tokens)) / plan.rate)
      const isExhausted = plan.quota && usage.used >= plan.quota.limit
      if (isExhausted) throw rateLimited(plan, (usage.period + 1) * periodMs(plan) - now)
      usage.tokens--
      usage.used++
    },
  }
}

function refill(usage: Usage, now: number): void {
  const { plan, refilled, tokens } = usage
  usage.tokens = Math.min(plan.burst, tokens + (Math.max(0, now - refilled) / 1_000) * plan.rate)
  usage.refilled = now
  const period = Math.floor(now / periodMs(plan))
  if (period !== usage.period) Object.assign(usage, { period, used: 0 })
}

const periodMs = ({ quota }: Plan) => DAYS[quota?.period ?? 'DAY'] * DAY

const rateLimited = ({ name }: Plan, waitMs: number) =>
  new RateLimited(429, `More requests than the usage plan '${name}' allows.`, waitMs)
