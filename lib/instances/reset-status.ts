import { nudge } from '../guests/guest.ts'
import { forbidden } from '../kit/errors.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import { retrying } from '../kit/records.ts'
import { preemption, ringOperation } from '../operations/operation.ts'
import type { Platform } from '../platform/platform.ts'
import { findInstance, instances } from './instance.ts'

/**
 * `{"reset_status":{}}`: for admins; with `force_delete` inside, for owners too. What runs on the instance turns round;
 * where nothing runs, the task is cleared, and the agent is asked how it is.
 */
export async function resetStatus(call: Call<{ force_delete?: unknown }, Platform>): Promise<Reply> {
  const { deps, params, body, requestId } = call
  const { known, at } = await retrying(deps.store, async () => {
    const item = await findInstance(deps, call, params['id'] ?? '')
    if (!call.admin && !('force_delete' in body)) {
      throw forbidden('Policy does not allow instance:reset_status to be performed.')
    }
    const { project, id, operation, task } = item.body
    const known = { project, instance: id, requestId }
    const at = operation && { ...operation, ...known }
    if (task === 'DELETING') return { changes: [], result: { known, at } }
    if (operation)
      return { changes: await preemption(deps, project, operation.id, 'The status was reset.'), result: { known, at } }
    const { fault: _, service: __, ...kept } = item.body
    const reset = { ...kept, task: 'NONE' as const, updated: deps.clock.now() }
    return { changes: [instances.replace(item, reset)], result: { known, at } }
  })
  if (at) await ringOperation(deps, at)
  else await nudge(deps, known)
  return { status: 202 }
}
