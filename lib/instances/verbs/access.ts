import { z } from 'zod'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { type SagaRun, saga } from '../../kit/saga/saga.ts'
import { manifestOf, requireCapability } from '../../model/catalog.ts'
import { assertHasServer, isBeingDeleted, partOf, reloadInstance, serverOf } from '../../model/instance.ts'
import { Access, type InstanceAccess } from '../../model/instance-fields.ts'
import type { Platform } from '../../platform/platform.ts'
import { agentCommandStep, agentCommandUndo } from '../steps/agent-command.ts'
import { changeId, machineChangeDone, revertId } from '../steps/change-server.ts'
import { finishOperation, startOperation } from '../steps/operation.ts'

const AccessRequest = z.object({ from: Access, to: Access })
type AccessRequest = z.infer<typeof AccessRequest>

/**
 * `{"access":{"is_public":…,"allowed_cidrs":[…]}}`: from where the database can be reached. The database's own rules hold
 * it, and those of its cloud where that has some.
 */
export const requestAccess = (
  call: Call<{ access: InstanceAccess; name?: string | undefined }, Platform>,
): Promise<Mutation> =>
  startOperation(call, 'update_access', instance => {
    requireCapability(manifestOf(call.deps.datastores, instance.datastore.manager), 'access', 'update_access')
    assertHasServer(instance)
    const { name, access } = call.body
    const from = instance.access ?? {}
    const change = name === undefined ? {} : { name }
    // Fields that the request leaves out stay as they are.
    return { change, request: { from, to: { ...from, ...access } } }
  })

type Run = SagaRun<AccessRequest, Platform>

export const updateAccess = saga<AccessRequest, Platform>('update_access', AccessRequest, {
  onEnd: finishOperation({ done: ({ request }) => ({ access: request.to }) }),
})
  .step('apply_database_rules', {
    ...agentCommandStep('access', (agent, { request }) => agent.update_access(toAgentAccess(request.to))),
    ...agentCommandUndo('back', (agent, { request }) => agent.update_access(toAgentAccess(request.from))),
  })
  .step('apply_cloud_rules', {
    do: run => applyCloudAccess(run, run.request.to, changeId(run)),
    isDone: cloudAccessApplied,
    undo: run => applyCloudAccess(run, run.request.from, revertId(run)),
    isUndone: cloudAccessReverted,
  })

const toAgentAccess = ({ allowed_cidrs }: InstanceAccess) => ({ allowed_cidrs: allowed_cidrs ?? [] })

/** Sets the rules of the cloud around the server, where compute has some. */
async function applyCloudAccess(run: Run, access: InstanceAccess, id: string): Promise<void> {
  const instance = await reloadInstance(run)
  await run.deps.compute.changeAccess?.({ ...partOf(instance, serverOf(instance)), changeId: id, access })
}

async function cloudAccessApplied(run: Run): Promise<boolean> {
  if (!run.deps.compute.changeAccess) return true
  return machineChangeDone(run, 'server', serverOf(await reloadInstance(run)))
}

/** Best effort: done once the machine has tried, whatever came of it, or no longer exists. */
async function cloudAccessReverted(run: Run): Promise<boolean> {
  const { compute } = run.deps
  const instance = await reloadInstance(run)
  if (!compute.changeAccess || isBeingDeleted(instance)) return true
  const state = await compute.server(run.project, serverOf(instance))
  return !state || state.status === 'GONE' || state.changeId === revertId(run)
}
