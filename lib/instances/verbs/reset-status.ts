import { heartbeatRequest } from '../../agents/agent.ts'
import { forbidden } from '../../kit/errors.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { findInstance, instanceSubject, instances, isBeingDeleted, resetState } from '../../model/instance.ts'
import { abortRequest } from '../../model/operation.ts'
import type { Platform } from '../../platform/platform.ts'
import { operationMessage } from '../../taskmanager/runner.ts'

/**
 * `{"reset_status":{}}`: for admins; with `force_delete` inside, for owners too. An operation that runs on the instance is
 * rolled back. Without one, the task is cleared and the agent is asked for a report.
 */
export async function resetStatus(call: Call<{ force_delete?: unknown }, Platform>): Promise<Mutation> {
  const { deps, params, body, requestId } = call
  const item = await findInstance(deps, call, params['id'] ?? '')
  if (!call.admin && !('force_delete' in body)) {
    throw forbidden('Policy does not allow instance:reset_status to be performed.')
  }
  const { project, id, operation } = item.body
  const reply = { status: 202 }
  if (!operation) {
    const changes = [instances.replace(item, resetState(item.body, deps.clock.now()))]
    return { reply, changes, messages: [await heartbeatRequest(deps, { project, instance: id, requestId })] }
  }
  const isAborted = !isBeingDeleted(item.body)
  const changes = isAborted ? await abortRequest(deps, project, operation.id, 'The status was reset.') : []
  const wake = operationMessage({ ...operation, project, subject: instanceSubject(id), requestId })
  return { reply, changes, messages: [wake] }
}
