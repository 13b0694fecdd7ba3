import { elapsedMs } from '../../kit/clock.ts'
import type { Remaining, Throttle } from '../../ports/throttle.ts'

const MINUTE_MS = 60_000
/** The rounding error that a full bucket may have. */
const EPSILON = 1e-6

/** A bucket: its level (the milliseconds that it takes to empty) at a time (since the epoch). */
export interface Bucket {
  level: number
  at: number
}

export const EMPTY_BUCKET: Bucket = { level: 0, at: 0 }

/** When the bucket will be empty; from then on it need not be stored. */
export const emptyAt = ({ level, at }: Bucket) => at + level

/** The level now. */
const currentLevel = ({ level, at }: Bucket, now: number) => Math.max(0, level - elapsedMs(now, at))

/** Adds one request: the bucket afterwards, or the milliseconds until there is room for it. */
export function addRequest(perMinute: number, bucket: Bucket, now: number): { bucket: Bucket; waitMs: number } {
  const level = currentLevel(bucket, now) + MINUTE_MS / perMinute
  const excess = level - MINUTE_MS
  return excess > EPSILON ? { bucket, waitMs: excess } : { bucket: { level, at: now }, waitMs: 0 }
}

export function remaining(perMinute: number, bucket: Bucket, now: number): Remaining {
  const remaining = Math.floor(((MINUTE_MS - currentLevel(bucket, now)) / MINUTE_MS) * perMinute + EPSILON)
  return { remaining, next: now + addRequest(perMinute, bucket, now).waitMs }
}

/** Admits everything. */
export const noThrottle: Throttle = {
  perMinute: 0,
  take: async () => ({ waitMs: 0 }),
  look: async () => ({ remaining: 0, next: 0 }),
}
