import { describe, expect, it } from '@jest/globals'
import { KEYS, PLANS, planKey, plansForRate, usageKey } from '../../lib/limits/plans.ts'

describe('the usage plans', () => {
  const keys = PLANS.flatMap(plan => Array.from({ length: KEYS }, (_, index) => planKey(plan, index)))

  it('have 32 different keys each, which API Gateway accepts', () => {
    expect(KEYS).toBe(32)
    expect(new Set(keys).size).toBe(32 * PLANS.length)
    for (const key of keys) expect(key).toMatch(/^[a-z0-9-]{20,128}$/)
  })

  it('allow far more than Trove lets one project send: 200 requests per minute with each of four verbs', () => {
    for (const { rate, burst } of PLANS) {
      expect(rate).toBeGreaterThan(5 * ((4 * 200) / 60))
      expect(burst).toBeGreaterThanOrEqual(rate)
    }
    for (const perMinute of [1, 200, 6_000, 100_000]) {
      for (const { rate } of plansForRate(perMinute)) expect(rate).toBeGreaterThan(5 * ((4 * perMinute) / 60))
    }
  })

  it('give each project one key, and spread projects over all keys', () => {
    const projectKeys = Array.from({ length: 2_000 }, (_, index) =>
      usageKey({ project: `p${index}`, roles: ['member'] }),
    )
    expect(new Set(projectKeys).size).toBe(KEYS)
    for (const key of projectKeys) expect(keys).toContain(key)
    expect(usageKey({ project: 'p1', roles: ['member', 'other'] })).toBe(projectKeys[1])
  })

  it('put admins on the plan for operators', () => {
    expect(usageKey({ project: 'p', roles: ['member', 'admin'] })).toMatch(/-operator-\d\d$/)
    expect(usageKey({ project: 'p', roles: ['member'] })).toMatch(/-member-\d\d$/)
    expect(usageKey({ project: 'p', roles: [] })).toMatch(/-member-\d\d$/)
  })
})
