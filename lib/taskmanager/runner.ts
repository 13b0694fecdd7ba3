import { cancelCommands } from '../agents/cancel.ts'
import { TASKMANAGER_TOPIC, Task, type TaskmanagerMethods, taskmanager } from '../contracts/taskmanager.ts'
import type { Invocation } from '../kit/rpc/batch.ts'
import { type Client, client, sameHandlerForAll, serve } from '../kit/rpc/contract.ts'
import { SagaRunner } from '../kit/saga/runner.ts'
import type { Saga, SagaRecord } from '../kit/saga/saga.ts'
import { instances } from '../model/instance.ts'
import type { OperationRef } from '../model/operation.ts'
import type { Platform } from '../platform/platform.ts'

/** The function's timeout and 30 s more: nobody takes over an operation before its runner has surely ended. */
const LEASE_MS = 90_000
/** SQS delays a message by fifteen minutes at most. */
const MAX_DELAY_MS = 900_000

/** The saga of each method of the taskmanager. */
export type OperationSagas = Record<keyof TaskmanagerMethods, Saga<unknown, Platform>>

/** Wakes the taskmanager for an operation, now or after `delayMs`. If the message is lost, `periodic` sends it again. */
export async function wakeOperation(
  platform: Platform,
  operation: OperationRef & { project: string; instance: string; requestId: string },
  delayMs = 0,
): Promise<void> {
  const { project, instance, id, requestId } = operation
  const input = { project, instance_id: instance, operation_id: id }
  await taskmanagerClient(platform, project, requestId, delayMs)[operation.name](input)
}

/** Sends casts to the taskmanager's queue, fair between projects. */
function taskmanagerClient(
  { queue }: Platform,
  project: string,
  requestId: string,
  delayMs: number,
): Client<TaskmanagerMethods, never> {
  const unsupported = () => Promise.reject(new Error('the taskmanager takes casts only'))
  return client(taskmanager, {
    query: unsupported,
    command: unsupported,
    async cast(method, input) {
      const task: Task = { method, input, requestId }
      const message = { body: JSON.stringify(task), group: project, ...(delayMs > 0 && { delayMs }) }
      await queue.send(TASKMANAGER_TOPIC, [message])
    },
  })
}

/** Runs the platform's operations. */
export function operationRunner(platform: Platform, sagas: OperationSagas): SagaRunner<Platform> {
  return new SagaRunner({
    ...platform,
    context: platform,
    sagas,
    leaseMs: LEASE_MS,
    onEnd: record => {
      platform.metrics.count('coffer_operations_ended_total', { name: record.name, status: record.status })
      return wakeNext(platform, record)
    },
    ...(platform.delaysDoorbells && { onWait: (record, delayMs) => wakeAfter(platform, record, delayMs) }),
    onUndo: record => cancelCommands(platform, record),
  })
}

/** Wakes the operation at the end of its wait. `periodic` is the fallback, and ends waits longer than a queue can delay. */
async function wakeAfter(platform: Platform, record: SagaRecord, delayMs: number): Promise<void> {
  if (delayMs > MAX_DELAY_MS) return
  await wakeOperation(platform, { ...record, name: record.name as keyof TaskmanagerMethods }, delayMs)
}

/** An operation that waits for this one to end goes on at once. */
async function wakeNext(platform: Platform, { project, instance, id, requestId }: SagaRecord): Promise<void> {
  const item = await instances.get(platform.store, project, instance)
  const next = item?.body.operation
  if (next && next.id !== id) await wakeOperation(platform, { ...next, project, instance, requestId })
}

/**
 * Handles messages of the taskmanager's queue: each takes the operation that it names forward. Throws for what is no
 * failure of a step (the store is away, the request cannot be decrypted): then the message has to be delivered again.
 */
export function taskHandler(sagas: OperationSagas) {
  let runner: { platform: Platform; saga: SagaRunner<Platform> } | undefined
  const dispatch = serve(
    taskmanager,
    sameHandlerForAll(taskmanager, async ({ project, operation_id }, { stopAt, last }: Invocation) => {
      await runner?.saga.run(project, operation_id, stopAt, last)
    }),
  )
  return async (platform: Platform, body: string, invocation: Invocation): Promise<void> => {
    if (runner?.platform !== platform) runner = { platform, saga: operationRunner(platform, sagas) }
    const { method, input } = Task.parse(JSON.parse(body))
    await dispatch(method, input, invocation)
  }
}
