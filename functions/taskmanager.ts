import middy from '@middy/core'
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda'
import { TASKMANAGER_TOPIC, Task, type TaskmanagerMethods, taskmanager } from '../lib/contracts/taskmanager.ts'
import { cancelCommands } from '../lib/guests/cancel.ts'
import { instances, sagas } from '../lib/instances/index.ts'
import { batch, MOST_ATTEMPTS } from '../lib/kit/batch.ts'
import { forEvery, serve } from '../lib/kit/contract.ts'
import { SagaRunner } from '../lib/kit/saga/runner.ts'
import type { SagaRecord } from '../lib/kit/saga/saga.ts'
import { ringOperation } from '../lib/operations/operation.ts'
import type { Platform } from '../lib/platform/platform.ts'
import { wired } from '../lib/wiring/current.ts'

/** The function's timeout and 30 s: nobody takes over before it has surely ended. */
const LEASE_MS = 90_000
/** SQS delays by fifteen minutes at most. */
const MOST_DELAY_MS = 900_000
/** Steps run on while this much of the invocation remains. */
const RESERVE_MS = 15_000

const every = sagas satisfies Record<keyof TaskmanagerMethods, unknown>

/** A runner of the platform's sagas. */
export const runnerOf = (platform: Platform) =>
  new SagaRunner({
    ...platform,
    deps: platform,
    sagas: every,
    leaseMs: LEASE_MS,
    ended: record => {
      platform.metrics.count('coffer_operations_ended_total', { name: record.name, status: record.status })
      return ringNext(platform, record)
    },
    ...(platform.delaysDoorbells && { later: (record: SagaRecord, ms: number) => ringLater(platform, record, ms) }),
    turned: record => cancelCommands(platform, record),
  })

/** Rings at the end of a wait. `periodic` is the fallback, and what ends waits longer than a queue delays. */
async function ringLater(platform: Platform, record: SagaRecord, ms: number): Promise<void> {
  if (ms > MOST_DELAY_MS) return
  await ringOperation(platform, { ...record, name: record.name as keyof TaskmanagerMethods }, ms)
}

/** Whoever waits for an operation to end goes on at once. */
async function ringNext(platform: Platform, { project, instance, id, requestId }: SagaRecord): Promise<void> {
  const item = await instances.get(platform.store, project, instance)
  const next = item?.body.operation
  if (next && next.id !== id) await ringOperation(platform, { ...next, project, instance, requestId })
}

let runner: SagaRunner<Platform> | undefined

const dispatch = serve(
  taskmanager,
  forEvery(taskmanager, async ({ project, operation_id }, context: { stopAt: number; last: boolean }) => {
    runner ??= runnerOf(wired())
    await runner.run(project, operation_id, context.stopAt, context.last)
  }),
)

/** A message that failed comes again after 1, 2, 4, 8 s, and not when it would show by itself, minutes later; then it is given up. */
const releasing =
  ({ queue }: Platform) =>
  (receipt: string, attempt: number) =>
    queue.release(TASKMANAGER_TOPIC, [receipt], attempt < MOST_ATTEMPTS ? 500 * 2 ** attempt : 0)

/** SQS events of the taskmanager's queue: takes the operations that they name forward. */
export const handler = middy<SQSEvent, SQSBatchResponse>().handler((event, context) => {
  const platform = wired()
  const stopAt = platform.clock.now() + context.getRemainingTimeInMillis() - RESERVE_MS
  const handle = async (body: string, attempt: number) => {
    const { method, input } = Task.parse(JSON.parse(body))
    await dispatch(method, input, { stopAt, last: attempt >= MOST_ATTEMPTS })
  }
  // A consumer that pulls does so itself.
  return batch(event, platform.log, handle, platform.delaysDoorbells ? releasing(platform) : undefined)
})
