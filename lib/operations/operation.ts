import { TASKMANAGER_TOPIC, type Task, type TaskmanagerMethods, taskmanager } from '../contracts/taskmanager.ts'
import { type Client, client } from '../kit/contract.ts'
import { isOver, type SagaRecord, sagas } from '../kit/saga/saga.ts'
import { timestamp } from '../kit/time.ts'
import type { Platform } from '../platform/platform.ts'
import type { Change } from '../platform/store/store.ts'

/** Which saga is at work on an instance. */
export interface OperationRef {
  id: string
  name: keyof TaskmanagerMethods
}

/** An operation as the API shows it. */
export function operationView(record: SagaRecord, steps: string[]) {
  const over = isOver(record)
  const percent =
    record.status === 'DONE' ? 100 : Math.floor((Math.max(0, record.step) * 100) / Math.max(1, steps.length))
  return {
    id: record.id,
    name: record.name,
    status: record.parked ? 'PARKED' : record.status,
    step: over ? null : (steps[record.step] ?? null),
    steps,
    percent,
    started: timestamp(record.started),
    finished: record.finished === undefined ? null : timestamp(record.finished),
    deadline: over ? null : timestamp(record.entered + 600_000),
    error: record.error ?? null,
  }
}

/** Rings the taskmanager for an operation; a lost doorbell is rung again by `periodic`. */
export async function ringOperation(
  platform: Platform,
  operation: OperationRef & { project: string; instance: string; requestId: string },
): Promise<void> {
  const { project, instance, id, requestId } = operation
  await tasks(platform, project, requestId)[operation.name]({ project, instance_id: instance, operation_id: id })
}

/** A client of the taskmanager: casts on its queue, fair between projects. */
function tasks(platform: Platform, project: string, requestId: string): Client<TaskmanagerMethods, never> {
  const unsupported = () => Promise.reject(new Error('the taskmanager takes casts only'))
  return client(taskmanager, {
    query: unsupported,
    command: unsupported,
    async cast(method, input) {
      const task: Task = { method, input, requestId }
      await platform.queue.send(TASKMANAGER_TOPIC, [{ body: JSON.stringify(task), group: project }])
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
