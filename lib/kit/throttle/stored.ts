import { Conflict, type Store } from '../../platform/store/store.ts'
import type { Clock } from '../clock.ts'
import { kind, retrying } from '../records.ts'
import { type Bucket, EMPTY, emptyAt, leftIn, poured, type Throttle, unlimited } from './throttle.ts'

/** One record for each project and verb. */
const throttles = kind<Bucket>('throttle')
/** Records end on the minute: DynamoDB's index entries carry the same time, and are written anew where it changes. */
const MINUTE_MS = 60_000

/** A throttle whose state any number of processes share. A refusal writes nothing. `perMinute` 0 = no limit. */
export function storedThrottle(store: Store, clock: Pick<Clock, 'now'>, perMinute: number): Throttle {
  if (perMinute === 0) return unlimited
  return {
    perMinute,
    async take(project, verb) {
      try {
        return await retrying(store, async () => {
          const item = await throttles.get(store, project, verb)
          const { bucket, waitMs } = poured(perMinute, item?.body ?? EMPTY, clock.now())
          if (waitMs > 0) return { changes: [], result: { waitMs } }
          // An empty bucket is as good as none, so the record ends with its water.
          const indexed = { expires: Math.ceil(emptyAt(bucket) / MINUTE_MS) * MINUTE_MS }
          const change = item
            ? throttles.replace(item, bucket, indexed)
            : throttles.create(project, verb, bucket, indexed)
          return { changes: [change], result: { waitMs } }
        })
      } catch (error) {
        // So many write at once that none gets through: the limit protects, it must not be what fails.
        if (error instanceof Conflict) return { waitMs: 0 }
        throw error
      }
    },
    async look(project, verb) {
      const item = await throttles.get(store, project, verb)
      return leftIn(perMinute, item?.body ?? EMPTY, clock.now())
    },
  }
}
