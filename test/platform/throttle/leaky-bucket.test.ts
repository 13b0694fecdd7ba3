import { describe, expect, it } from '@jest/globals'
import { addRequest, remaining } from '../../../lib/platform/throttle/leaky-bucket.ts'

describe('a bucket', () => {
  it('is empty after the clock was set back by an hour: nobody waits until it has caught up', () => {
    const now = 1_000_000_000
    const full = { level: 60_000, at: now + 3_600_000 }
    expect(addRequest(5, full, now)).toEqual({ bucket: { level: 12_000, at: now }, waitMs: 0 })
    expect(remaining(5, full, now)).toEqual({ remaining: 5, next: now })
  })

  it('is at most full, and has emptied since by as much as the clock has moved', () => {
    const now = 1_000_000_000
    for (const at of [now - 6_000, now + 6_000]) {
      expect(addRequest(5, { level: 60_000, at }, now).waitMs).toBe(6_000)
    }
  })
})
