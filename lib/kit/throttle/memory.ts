import type { Clock } from '../clock.ts'
import { type Bucket, EMPTY, emptyAt, leftIn, poured, type Throttle, unlimited } from './throttle.ts'

/** Buckets kept before empty ones are looked for, at first. */
const SWEEP_AT = 1_000

/** A throttle in the memory of the one process that serves. `perMinute` 0 = no limit. */
export function memoryThrottle(clock: Pick<Clock, 'now'>, perMinute: number): Throttle {
  if (perMinute === 0) return unlimited
  const buckets = new Map<string, Bucket>()
  let sweepAt = SWEEP_AT
  const keyOf = (project: string, verb: string) => `${verb} ${project}`

  /** An empty bucket is as good as none; looked for each time the map has doubled, so that it costs next to nothing. */
  function sweep(now: number): void {
    for (const [key, bucket] of buckets) if (emptyAt(bucket) <= now) buckets.delete(key)
    sweepAt = Math.max(SWEEP_AT, buckets.size * 2)
  }

  return {
    perMinute,
    async take(project, verb) {
      const now = clock.now()
      const key = keyOf(project, verb)
      const { bucket, waitMs } = poured(perMinute, buckets.get(key) ?? EMPTY, now)
      if (waitMs === 0) buckets.set(key, bucket)
      if (buckets.size >= sweepAt) sweep(now)
      return { waitMs }
    },
    async look(project, verb) {
      return leftIn(perMinute, buckets.get(keyOf(project, verb)) ?? EMPTY, clock.now())
    },
  }
}
