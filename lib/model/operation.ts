import { hasEnded, type SagaRecord, sagas, stepDeadlineMs } from '../kit/saga/saga.ts'
import { timestamp } from '../kit/time.ts'
import type { Platform } from '../platform/platform.ts'
import type { Change } from '../ports/store.ts'
import type { OperationName } from '../trove/operations.ts'

/** The saga that works on an instance. */
export interface OperationRef {
  id: string
  name: OperationName
}

/** What the view needs to know about a saga's steps. */
type StepInfo = { name: string; deadlineMs?: number }

/** An operation as the API shows it. After its `deadline` it is rolled back, or parked if it only runs forward. */
export function operationView(record: SagaRecord, steps: StepInfo[]) {
  const ended = hasEnded(record)
  const { step, status, parked, stepEntered, finished } = record
  return {
    id: record.id,
    name: record.name,
    status: parked ? 'PARKED' : status,
    step: ended ? null : (steps[step]?.name ?? null),
    steps: steps.map(({ name }) => name),
    percent: percentDone(record, steps.length),
    started: timestamp(record.started),
    finished: finished === undefined ? null : timestamp(finished),
    // An undo has no deadline: it is retried until it succeeds, and shows as PARKED after a while.
    deadline: status === 'RUNNING' ? timestamp(stepEntered + stepDeadlineMs(steps[step])) : null,
    failed_step: record.failedStep ?? null,
    error: record.error ?? null,
    request_id: record.requestId,
  }
}

/** The share of the steps that are done and not undone; 100 only if the operation is DONE. */
function percentDone({ status, step }: SagaRecord, steps: number): number {
  if (status === 'DONE') return 100
  return Math.min(99, Math.floor((Math.max(0, step) * 100) / Math.max(1, steps)))
}

/** The message that wakes the operation of this record. */
export const operationRef = ({ id, name, project, subject }: SagaRecord, requestId: string) => ({
  id,
  name: name as OperationRef['name'],
  project,
  subject,
  requestId,
})

/** The change that requests the rollback of a running operation, for this reason. None if it has ended. */
export async function abortRequest(
  { store, clock }: Pick<Platform, 'store' | 'clock'>,
  project: string,
  id: string,
  reason: string,
): Promise<Change[]> {
  const item = await sagas.get(store, project, id)
  if (!item || hasEnded(item.body) || item.body.abortReason) return []
  const due = item.body.lease ? item.due : clock.now()
  return [sagas.replace(item, { ...item.body, abortReason: reason }, { due })]
}
