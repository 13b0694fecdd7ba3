import { describe, expect, it } from '@jest/globals'
import { RateLimited } from '../../lib/kit/errors.ts'
import { keyOf } from '../../lib/limits/plans.ts'
import { usagePlans } from '../../local/usage-plans.ts'
import { virtualClock } from '../kit/virtual-clock.ts'

const tiny = { name: 'tiny', rate: 2, burst: 3 }

function setUp(plan: Parameters<typeof usagePlans>[0][number]) {
  const clock = virtualClock()
  const plans = usagePlans([plan], clock)
  const taken = (key: string, count: number) => Array.from({ length: count }, () => limitedBy(() => plans.take(key)))
  return { clock, taken, key: keyOf(plan, 0), other: keyOf(plan, 1) }
}

/** The Retry-After of the refusal; 0 = taken. */
function limitedBy(take: () => void): number {
  try {
    take()
    return 0
  } catch (error) {
    if (!(error instanceof RateLimited)) throw error
    expect(error.status).toBe(429)
    return Number(error.headers['Retry-After'])
  }
}

describe('usage plans of the local gateway', () => {
  it('let a burst through, then the rate, each key for itself', async () => {
    const { clock, taken, key, other } = setUp(tiny)
    expect(taken(key, 5)).toEqual([0, 0, 0, 1, 1])
    expect(taken(other, 1)).toEqual([0])
    await clock.advance(500)
    expect(taken(key, 2)).toEqual([0, 1])
    await clock.advance(60_000)
    expect(taken(key, 4)).toEqual([0, 0, 0, 1])
  })

  it('hold a quota until its period ends', async () => {
    const { clock, taken, key } = setUp({ ...tiny, burst: 100, quota: { limit: 4, period: 'DAY' } })
    const left = Math.ceil((86_400_000 - (clock.now() % 86_400_000)) / 1_000)
    expect(taken(key, 6)).toEqual([0, 0, 0, 0, left, left])
    await clock.advance(left * 1_000)
    expect(taken(key, 1)).toEqual([0])
  })

  it('do not limit keys of no plan', () => {
    const { taken } = setUp(tiny)
    expect(taken('coffer-usage-plan-other-00', 100)).toEqual(Array(100).fill(0))
  })
})
