import { cancelCommands } from '../agents/cancel.ts'
import { OperationMessage, TASKMANAGER_TOPIC, Task, taskmanager } from '../contracts/taskmanager.ts'
import type { Invocation } from '../kit/rpc/batch.ts'
import { sameHandlerForAll, serve } from '../kit/rpc/contract.ts'
import { SagaRunner } from '../kit/saga/runner.ts'
import { heldSubjects, type Saga, type SagaRecord } from '../kit/saga/saga.ts'
import type { TopicMessage } from '../kit/transaction.ts'
import { INSTANCE, type Instance, instanceSubject, instances } from '../model/instance.ts'
import { type OperationRef, operationRef } from '../model/operation.ts'
import type { Platform } from '../platform/platform.ts'
import type { Subject } from '../ports/store.ts'
import type { OperationName } from '../trove/operations.ts'

/** The function's timeout and 30 s more: nobody takes over an operation before its runner has surely ended. */
const LEASE_MS = 90_000
/** SQS delays a message by fifteen minutes at most. */
const MAX_DELAY_MS = 900_000

/** The saga of each method of the taskmanager. */
export type OperationSagas = Record<OperationName, Saga<unknown, Platform>>

/** A stored operation, as far as a message about it needs to know it. */
type StoredOperation = OperationRef & { project: string; subject: Subject; requestId: string }

/** The message that wakes the taskmanager for an operation. If it is lost, `periodic` sends it again. */
export function operationMessage(operation: StoredOperation, delayMs = 0): TopicMessage {
  const { name: method, id, project, subject, requestId } = operation
  const input = OperationMessage.parse({ project, operation_id: id, instance_id: subject.id })
  const task: Task = { method, input, requestId }
  // Fair between projects.
  const message = { topic: TASKMANAGER_TOPIC, body: JSON.stringify(task), group: project }
  return delayMs > 0 ? { ...message, delayMs } : message
}

/** Wakes the taskmanager for an operation, now or after `delayMs`. */
export async function wakeOperation({ queue }: Platform, operation: StoredOperation, delayMs = 0): Promise<void> {
  const { topic, ...message } = operationMessage(operation, delayMs)
  await queue.send(topic, [message])
}

/** Wakes the instance's operation and the one that it aborted: both may wait for what has changed. */
export async function wakeOperationsOf(
  platform: Platform,
  { project, id, operation, abortedOperation }: Instance,
): Promise<void> {
  for (const ref of [operation, abortedOperation]) {
    if (ref) await wakeOperation(platform, { ...ref, project, subject: instanceSubject(id), requestId: ref.id })
  }
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
    async onUndo(record) {
      for (const { kind, id } of heldSubjects(record)) {
        if (kind === INSTANCE) await cancelCommands(platform, record.project, id, record.id)
      }
    },
  })
}

/** Wakes the operation at the end of its wait. `periodic` is the fallback, and ends waits longer than a queue can delay. */
async function wakeAfter(platform: Platform, record: SagaRecord, delayMs: number): Promise<void> {
  if (delayMs > MAX_DELAY_MS) return
  await wakeOperation(platform, operationRef(record, record.requestId), delayMs)
}

/** An operation that waits for this one to end goes on at once. */
async function wakeNext(platform: Platform, record: SagaRecord): Promise<void> {
  const { project, id, requestId } = record
  for (const subject of heldSubjects(record)) {
    if (subject.kind !== INSTANCE) continue
    const next = (await instances.get(platform.store, project, subject.id))?.body.operation
    if (next && next.id !== id) await wakeOperation(platform, { ...next, project, subject, requestId })
  }
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
