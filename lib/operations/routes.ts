import { z } from 'zod'
import { ActionBody, type Actions, action, dispatchAction } from '../kit/http/actions.ts'
import { ACCEPTED, ok, type Route, route, routeWithBody } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import type { SagaOf } from './operation-of-path.ts'
import { OperationAction, OperationAnswer, OperationList } from './schemas.ts'
import { cancelOperation } from './verbs/cancel.ts'
import { listOperations } from './verbs/list.ts'
import { retryOperation } from './verbs/retry.ts'
import { showOperation } from './verbs/show.ts'

const OPERATIONS = '/instances/{id}/operations'
const OPERATION = `${OPERATIONS}/{operation_id}`
const Empty = z.strictObject({})

const actions = (sagaOf: SagaOf): Actions<Platform> => ({
  cancel: action(Empty, cancelOperation(sagaOf)),
  retry: action(Empty, retryOperation(sagaOf)),
})

/** The running and the ended operations of an instance. */
export const routes = (sagaOf: SagaOf): Route<Platform>[] => [
  route(
    { method: 'GET', path: OPERATIONS, summary: "List an instance's operations", response: ok(OperationList) },
    listOperations(sagaOf),
  ),
  route(
    { method: 'GET', path: OPERATION, summary: 'Show an operation', response: ok(OperationAnswer) },
    showOperation(sagaOf),
  ),
  routeWithBody(
    {
      method: 'POST',
      path: `${OPERATION}/action`,
      summary: 'Cancel or retry an operation',
      body: ActionBody,
      documentedBody: OperationAction,
      response: ACCEPTED,
    },
    dispatchAction(actions(sagaOf)),
  ),
]
