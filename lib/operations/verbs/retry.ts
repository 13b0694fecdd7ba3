import { isErased } from '../../kit/crypto/secret.ts'
import { conflict, overLimit } from '../../kit/errors.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import { type Stored, withOptimisticRetry } from '../../kit/records.ts'
import { hasEnded, type Saga, type SagaRecord, sagaRecord, sagas } from '../../kit/saga/saga.ts'
import { operationRef } from '../../model/operation.ts'
import type { Platform } from '../../platform/platform.ts'
import { type Change, Conflict } from '../../ports/store.ts'
import { wakeOperation } from '../../taskmanager/runner.ts'
import { findOperation, type SagaOf } from '../operation-of-path.ts'

/**
 * `{"retry":{}}`: retries a waiting or parked operation immediately, and counts its tries from 0. A failed operation
 * starts again if its kind supports that. Throws 409 if it cannot be retried, and 413 if it no longer fits the quota.
 */
export const retryOperation =
  (sagaOf: SagaOf) =>
  async (call: Call<unknown, Platform>): Promise<Reply> => {
    const { deps } = call
    const record = await mapQuotaConflict(() =>
      withOptimisticRetry(deps.store, async () => {
        const item = await findOperation(call)
        if (!hasEnded(item.body)) return { changes: [resetTries(item, deps.clock.now())], result: item.body }
        return startAgain(call, item.body, sagaOf(item.body.name))
      }),
    )
    await wakeOperation(deps, operationRef(record, call.requestId))
    return { status: 202 }
  }

function resetTries(item: Stored<SagaRecord>, now: number): Change {
  const { parked: _, ...rest } = item.body
  const isLeased = rest.lease !== undefined && rest.lease.until > now
  // A runner that holds the lease repeats the step immediately after the current try.
  const body = { ...rest, tries: 0, ...(isLeased && { signalled: true }) }
  return sagas.replace(item, body, isLeased ? {} : { due: now })
}

async function startAgain(
  { deps, requestId }: Call<unknown, Platform>,
  ended: SagaRecord,
  saga: Saga<unknown, Platform> | undefined,
) {
  const { id, name, project, instance, status, request } = ended
  if (status === 'DONE') throw conflict(`Operation ${id} has succeeded: there is nothing to retry.`)
  if (!saga?.onRetry) throw conflict(`A ${name} cannot be retried once it has ended; send the request again.`)
  if (await isErased(saga.schema, request)) {
    throw conflict(`The secrets in the request of operation ${id} were erased when it ended; send the request again.`)
  }
  const next = deps.random.uuid()
  const fields = { id: next, name, project, instance, requestId, request }
  const changes = await saga.onRetry(deps, ended, next)
  return { changes: [...changes, sagaRecord(fields, deps.clock.now())], result: { ...ended, ...fields } }
}

/** Turns a conflict with the quota into 413, as for a create. */
async function mapQuotaConflict<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Conflict) || error.reason !== 'bound') throw error
    throw overLimit('Quota exceeded for the resources of this operation.')
  }
}
