import { describe, expect, it } from '@jest/globals'
import { KEYS, keyOf, PLANS, plansAbove, usageKey } from '../../lib/limits/plans.ts'

describe('usage plans', () => {
  const keys = PLANS.flatMap(plan => Array.from({ length: KEYS }, (_, index) => keyOf(plan, index)))

  it('have 32 keys each, of a form that API Gateway takes, all different', () => {
    expect(KEYS).toBe(32)
    expect(new Set(keys).size).toBe(32 * PLANS.length)
    for (const key of keys) expect(key).toMatch(/^[a-z0-9-]{20,128}$/)
  })

  it('lie far above what Trove lets one project send: 200 a minute with each of four verbs', () => {
    for (const { rate, burst } of PLANS) {
      expect(rate).toBeGreaterThan(5 * ((4 * 200) / 60))
      expect(burst).toBeGreaterThanOrEqual(rate)
    }
    for (const perMinute of [1, 200, 6_000, 100_000]) {
      for (const { rate } of plansAbove(perMinute)) expect(rate).toBeGreaterThan(5 * ((4 * perMinute) / 60))
    }
  })

  it('give a project one key, spread over all of them', () => {
    const named = Array.from({ length: 2_000 }, (_, index) => usageKey({ project: `p${index}`, roles: ['member'] }))
    expect(new Set(named).size).toBe(KEYS)
    for (const key of named) expect(keys).toContain(key)
    expect(usageKey({ project: 'p1', roles: ['member', 'other'] })).toBe(named[1])
  })

  it('put admins on the plan of operators', () => {
    expect(usageKey({ project: 'p', roles: ['member', 'admin'] })).toMatch(/-operator-\d\d$/)
    expect(usageKey({ project: 'p', roles: ['member'] })).toMatch(/-member-\d\d$/)
    expect(usageKey({ project: 'p', roles: [] })).toMatch(/-member-\d\d$/)
  })
})
