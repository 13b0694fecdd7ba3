import { describe, expect, it } from '@jest/globals'
import { addRequest, remaining } from '../../../lib/platform/throttle/leaky-bucket.ts'

describe('a bucket', () => {
  it('is at most full, even after the clock was set back by an hour', () => {
    const now = 1_000_000_000
    const full = { level: 60_000, at: now + 3_600_000 }
    expect(addRequest(5, full, now).waitMs).toBe(12_000)
    expect(remaining(5, full, now)).toEqual({ remaining: 0, next: now + 12_000 })
  })
})
