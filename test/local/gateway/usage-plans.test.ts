import { describe, expect, it } from '@jest/globals'
import { RateLimited } from '../../../lib/kit/errors.ts'
import { planKey } from '../../../lib/limits/plans.ts'
import { usagePlans } from '../../../local/gateway/usage-plans.ts'
import { virtualClock } from '../../kit/virtual-clock.ts'

const tiny = { name: 'tiny', rate: 2, burst: 3 }

function setUp(plan: Parameters<typeof usagePlans>[0][number]) {
  const clock = virtualClock()
  const plans = usagePlans([plan], clock)
  const take = (key: string, count: number) => Array.from({ length: count }, () => retryAfter(() => plans.take(key)))
  return { clock, take, key: planKey(plan, 0), other: planKey(plan, 1) }
}

/** The Retry-After of a refused request, in seconds; 0 = not refused. */
function retryAfter(request: () => void): number {
  try {
    request()
    return 0
  } catch (error) {
    if (!(error instanceof RateLimited)) throw error
    expect(error.status).toBe(429)
    return Number(error.headers['Retry-After'])
  }
}

describe('usage plans of the local gateway', () => {
  it('allow each key a burst, and then its rate', async () => {
    const { clock, take, key, other } = setUp(tiny)
    expect(take(key, 5)).toEqual([0, 0, 0, 1, 1])
    expect(take(other, 1)).toEqual([0])
    await clock.advance(500)
    expect(take(key, 2)).toEqual([0, 1])
    await clock.advance(60_000)
    expect(take(key, 4)).toEqual([0, 0, 0, 1])
  })

  it('refuse requests over the quota until its period ends', async () => {
    const { clock, take, key } = setUp({ ...tiny, burst: 100, quota: { limit: 4, period: 'DAY' } })
    const remaining = Math.ceil((86_400_000 - (clock.now() % 86_400_000)) / 1_000)
    expect(take(key, 6)).toEqual([0, 0, 0, 0, remaining, remaining])
    await clock.advance(remaining * 1_000)
    expect(take(key, 1)).toEqual([0])
  })

  it('do not limit keys that are in no plan', () => {
    const { take } = setUp(tiny)
    expect(take('coffer-usage-plan-other-00', 100)).toEqual(Array(100).fill(0))
  })
})
