import { conflict } from '../../kit/errors.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { hasEnded } from '../../kit/saga/saga.ts'
import { abortRequest, operationRef } from '../../model/operation.ts'
import type { Platform } from '../../platform/platform.ts'
import { operationMessage } from '../../taskmanager/runner.ts'
import { findOperation, type SagaOf } from '../operation-of-path.ts'

/** `{"cancel":{}}`: rolls the operation back; it ends as CANCELLED. Throws 409 if it cannot be cancelled (any more). */
export const cancelOperation =
  (sagaOf: SagaOf) =>
  async (call: Call<unknown, Platform>): Promise<Mutation> => {
    const { deps } = call
    const { body } = await findOperation(call)
    const { id, name, project, status, abortReason } = body
    if (hasEnded(body)) throw conflict(`Operation ${id} has ended already: it is ${status}.`)
    if (sagaOf(name)?.forwardOnly) throw conflict(`A ${name} cannot be cancelled: it only runs forward.`)
    if (status === 'UNDOING' && !abortReason) throw conflict(`Operation ${id} is being undone already.`)
    return {
      reply: { status: 202 },
      changes: await abortRequest(deps, project, id, 'The operation was cancelled.'),
      messages: [operationMessage(operationRef(body, call.requestId))],
    }
  }
