import { requestHeartbeat } from '../../agents/agent.ts'
import { forbidden } from '../../kit/errors.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import { withOptimisticRetry } from '../../kit/records.ts'
import { findInstance, instances } from '../../model/instance.ts'
import { abortRequest } from '../../model/operation.ts'
import type { Platform } from '../../platform/platform.ts'
import { wakeOperation } from '../../taskmanager/runner.ts'

/**
 * `{"reset_status":{}}`: for admins; with `force_delete` inside, for owners too. An operation that runs on the instance is
 * rolled back. Without one, the task is cleared and the agent is asked for a report.
 */
export async function resetStatus(call: Call<{ force_delete?: unknown }, Platform>): Promise<Reply> {
  const { deps, params, body, requestId } = call
  const { subject, running } = await withOptimisticRetry(deps.store, async () => {
    const item = await findInstance(deps, call, params['id'] ?? '')
    if (!call.admin && !('force_delete' in body)) {
      throw forbidden('Policy does not allow instance:reset_status to be performed.')
    }
    const { project, id, operation, task } = item.body
    const subject = { project, instance: id, requestId }
    const running = operation && { ...operation, ...subject }
    const result = { subject, running }
    if (task === 'DELETING') return { changes: [], result }
    if (operation) {
      return { changes: await abortRequest(deps, project, operation.id, 'The status was reset.'), result }
    }
    const { fault: _, agentReport: __, ...rest } = item.body
    const reset = { ...rest, task: 'NONE' as const, updated: deps.clock.now() }
    return { changes: [instances.replace(item, reset)], result }
  })
  if (running) await wakeOperation(deps, running)
  else await requestHeartbeat(deps, subject)
  return { status: 202 }
}
