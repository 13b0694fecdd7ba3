import type { Clock } from '../../../kit/clock.ts'
import { recordType, renameFields, withOptimisticRetry } from '../../../kit/records.ts'
import { Conflict, type Store } from '../../../ports/store.ts'
import type { Throttle } from '../../../ports/throttle.ts'
import { addRequest, type Bucket, EMPTY_BUCKET, emptyAt, noThrottle, remaining } from '../leaky-bucket.ts'

/** One record for each project and verb. */
const throttles = recordType<Bucket>('throttle', body => renameFields(body, { water: 'level' }))
/** Records expire on the minute: DynamoDB's index entries have the same time, and are rewritten when it changes. */
const MINUTE_MS = 60_000

/** A throttle that any number of processes share. A refusal writes nothing. `perMinute` 0 = no limit. */
export function storedThrottle(store: Store, clock: Pick<Clock, 'now'>, perMinute: number): Throttle {
  if (perMinute === 0) return noThrottle
  return {
    perMinute,
    async take(project, verb) {
      try {
        return await withOptimisticRetry(store, async () => {
          const item = await throttles.get(store, project, verb)
          const { bucket, waitMs } = addRequest(perMinute, item?.body ?? EMPTY_BUCKET, clock.now())
          if (waitMs > 0) return { changes: [], result: { waitMs } }
          // An empty bucket need not be stored, so the record expires when the bucket is empty.
          const indexed = { expires: Math.ceil(emptyAt(bucket) / MINUTE_MS) * MINUTE_MS }
          const change = item
            ? throttles.replace(item, bucket, indexed)
            : throttles.create(project, verb, bucket, indexed)
          return { changes: [change], result: { waitMs } }
        })
      } catch (error) {
        // Too many concurrent writes. The limit protects the service, so it must not fail requests itself.
        if (error instanceof Conflict) return { waitMs: 0 }
        throw error
      }
    },
    async look(project, verb) {
      const item = await throttles.get(store, project, verb)
      return remaining(perMinute, item?.body ?? EMPTY_BUCKET, clock.now())
    },
  }
}
