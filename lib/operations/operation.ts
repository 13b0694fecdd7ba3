import { TASKMANAGER_TOPIC, type Task, type TaskmanagerMethods, taskmanager } from '../contracts/taskmanager.ts'
import { type Client, client } from '../kit/contract.ts'
import { deadlineOf, isOver, type SagaRecord, sagas } from '../kit/saga/saga.ts'
import { timestamp } from '../kit/time.ts'
import type { Platform } from '../platform/platform.ts'
import type { Change } from '../platform/store/store.ts'

/** Which saga is at work on an instance. */
export interface OperationRef {
  id: string
  name: keyof TaskmanagerMethods
}

/** What the view has to know of a saga's steps. */
export type StepFacts = { name: string; deadlineMs?: number }

/** An operation as the API shows it. `deadline` is when its step turns round, or is parked where it only runs forward. */
export function operationView(record: SagaRecord, steps: StepFacts[]) {
  const over = isOver(record)
  const { step, status, parked, entered, finished } = record
  return {
    id: record.id,
    name: record.name,
    status: parked ? 'PARKED' : status,
    step: over ? null : (steps[step]?.name ?? null),
    steps: steps.map(({ name }) => name),
    percent: percentOf(record, steps.length),
    started: timestamp(record.started),
    finished: finished === undefined ? null : timestamp(finished),
    // An undo has none: it is tried until it works, from then on PARKED.
    deadline: status === 'RUNNING' ? timestamp(entered + deadlineOf(steps[step])) : null,
    failed_step: record.failedStep ?? null,
    error: record.error ?? null,
    request_id: record.requestId,
  }
}

/** How much of it stands: steps done and not taken back, 100 only when it is DONE. */
function percentOf({ status, step }: SagaRecord, steps: number): number {
  if (status === 'DONE') return 100
  return Math.min(99, Math.floor((Math.max(0, step) * 100) / Math.max(1, steps)))
}

/** Rings the taskmanager for an operation, at once or after `delayMs`; a lost doorbell is rung again by `periodic`. */
export async function ringOperation(
  platform: Platform,
  operation: OperationRef & { project: string; instance: string; requestId: string },
  delayMs = 0,
): Promise<void> {
  const { project, instance, id, requestId } = operation
  await tasks(platform, project, requestId, delayMs)[operation.name]({
    project,
    instance_id: instance,
    operation_id: id,
  })
}

/** A client of the taskmanager: casts on its queue, fair between projects. */
function tasks(
  platform: Platform,
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
      await platform.queue.send(TASKMANAGER_TOPIC, [
        { body: JSON.stringify(task), group: project, ...(delayMs > 0 && { delayMs }) },
      ])
    },
  })
}

/** The change that makes a running operation turn round; none if it has ended. */
export async function preemption(
  { store, clock }: Platform,
  project: string,
  id: string,
  why: string,
): Promise<Change[]> {
  const item = await sagas.get(store, project, id)
  if (!item || isOver(item.body) || item.body.preempted) return []
  const due = item.body.lease ? item.due : clock.now()
  return [sagas.replace(item, { ...item.body, preempted: why }, { due })]
}
