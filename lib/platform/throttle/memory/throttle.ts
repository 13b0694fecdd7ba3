import type { Clock } from '../../../kit/clock.ts'
import type { Throttle } from '../../../ports/throttle.ts'
import { addRequest, type Bucket, EMPTY_BUCKET, emptyAt, noThrottle, remaining } from '../leaky-bucket.ts'

/** The number of buckets at which empty ones are first removed. */
const SWEEP_AT = 1_000

/** A throttle in the memory of one process. `perMinute` 0 = no limit. */
export function memoryThrottle(clock: Pick<Clock, 'now'>, perMinute: number): Throttle {
  if (perMinute === 0) return noThrottle
  const buckets = new Map<string, Bucket>()
  let sweepAt = SWEEP_AT
  const keyOf = (project: string, verb: string) => `${verb} ${project}`

  /** Removes empty buckets, each time their number has doubled, so that it costs almost nothing. */
  function sweep(now: number): void {
    for (const [key, bucket] of buckets) if (emptyAt(bucket) <= now) buckets.delete(key)
    sweepAt = Math.max(SWEEP_AT, buckets.size * 2)
  }

  return {
    perMinute,
    async take(project, verb) {
      const now = clock.now()
      const key = keyOf(project, verb)
      const { bucket, waitMs } = addRequest(perMinute, buckets.get(key) ?? EMPTY_BUCKET, now)
      if (waitMs === 0) buckets.set(key, bucket)
      if (buckets.size >= sweepAt) sweep(now)
      return { waitMs }
    },
    async look(project, verb) {
      return remaining(perMinute, buckets.get(keyOf(project, verb)) ?? EMPTY_BUCKET, clock.now())
    },
  }
}
