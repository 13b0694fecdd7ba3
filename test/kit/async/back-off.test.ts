import { describe, expect, it } from '@jest/globals'
import { backOffMs } from '../../../lib/kit/async/back-off.ts'

describe('the back-off', () => {
  const backOff = { firstMs: 250, maxMs: 60_000 }

  it('doubles with each failure, up to its maximum', () => {
    expect([1, 2, 3, 8, 9].map(failures => backOffMs(failures, backOff))).toEqual([250, 500, 1_000, 32_000, 60_000])
  })

  it('stays at its maximum however many failures there are', () => {
    expect(backOffMs(100_000, backOff)).toBe(60_000)
  })

  it('waits the first delay before anything has failed', () => {
    expect(backOffMs(0, backOff)).toBe(250)
  })
})
