import { forbidden } from '../kit/errors.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import { retrying } from '../kit/records.ts'
import { preemption, ringOperation } from '../operations/operation.ts'
import type { Platform } from '../platform/platform.ts'
import { findInstance, instances } from './instance.ts'

/**
 * `{"reset_status":{}}`: for admins; with `force_delete` inside, for owners too. What runs on the instance turns round;
 * where nothing runs, the task is cleared.
 */
export async function resetStatus(call: Call<{ force_delete?: unknown }, Platform>): Promise<Reply> {
  const { deps, params, body, requestId } = call
  const ring = await retrying(deps.store, async () => {
    const item = await findInstance(deps, call, params['id'] ?? '')
    if (!call.admin && !('force_delete' in body)) {
      throw forbidden('Policy does not allow instance:reset_status to be performed.')
    }
    const { project, id, operation, task } = item.body
    const now = deps.clock.now()
    if (task === 'DELETING')
      return { changes: [], result: operation && { ...operation, project, instance: id, requestId } }
    if (operation) {
      const changes = await preemption(deps, project, operation.id, 'The status was reset.')
      return { changes, result: { ...operation, project, instance: id, requestId } }
    }
    const { fault: _, service: __, ...kept } = item.body
    return { changes: [instances.replace(item, { ...kept, task: 'NONE', updated: now })], result: undefined }
  })
  if (ring) await ringOperation(deps, ring)
  return { status: 202 }
}
