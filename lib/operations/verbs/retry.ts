import { isErased } from '../../kit/crypto/secret.ts'
import { conflict } from '../../kit/errors.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import type { Stored } from '../../kit/records.ts'
import { hasEnded, type Saga, type SagaRecord, sagaRecord, sagas } from '../../kit/saga/saga.ts'
import { operationRef } from '../../model/operation.ts'
import type { Platform } from '../../platform/platform.ts'
import type { Change } from '../../ports/store.ts'
import { operationMessage } from '../../taskmanager/runner.ts'
import { findOperation, type SagaOf } from '../operation-of-path.ts'

/**
 * `{"retry":{}}`: retries a waiting or parked operation immediately, and counts its tries from 0. A failed operation
 * starts again if its kind supports that. Throws 409 if it cannot be retried, and 413 if it no longer fits the quota.
 */
export const retryOperation =
  (sagaOf: SagaOf) =>
  async (call: Call<unknown, Platform>): Promise<Mutation> => {
    const item = await findOperation(call)
    if (!hasEnded(item.body)) {
      const changes = [resetTries(item, call.deps.clock.now())]
      return { reply: { status: 202 }, changes, messages: [wake(item.body, call.requestId)] }
    }
    return startAgain(call, item.body, sagaOf(item.body.name))
  }

const wake = (record: SagaRecord, requestId: string) => operationMessage(operationRef(record, requestId))

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
): Promise<Mutation> {
  const { id, name, project, subject, status, request } = ended
  if (status === 'DONE') throw conflict(`Operation ${id} has succeeded: there is nothing to retry.`)
  if (!saga?.onRetry) throw conflict(`A ${name} cannot be retried once it has ended; send the request again.`)
  if (await isErased(saga.schema, request)) {
    throw conflict(`The secrets in the request of operation ${id} were erased when it ended; send the request again.`)
  }
  const next = deps.random.uuid()
  const fields = { id: next, name, project, subject, requestId, request }
  const { changes, onBound } = await saga.onRetry(deps, ended, next)
  return {
    reply: { status: 202 },
    changes: [...changes, sagaRecord(fields, deps.clock.now())],
    messages: [wake({ ...ended, ...fields }, requestId)],
    ...(onBound && { onBound }),
  }
}
