import type { TaskmanagerMethods } from '../contracts/taskmanager.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import { retrying } from '../kit/records.ts'
import { beginning, type Outcome, type Running } from '../kit/saga/saga.ts'
import { ringOperation } from '../operations/operation.ts'
import type { Platform } from '../platform/platform.ts'
import type { Change } from '../platform/store/store.ts'
import { type Amounts, quotaChanges, transactWithin } from '../quotas/quota.ts'
import { findInstance, type Instance, instances, serverOf, type Task } from './instance.ts'

/** An action as it is asked for: what its saga works from, and what it takes of the quota until it ends. */
export interface Asked<R> {
  request: R
  takes?: Amounts
  /** What of the instance is another at once. */
  change?: Partial<Instance>
}

/**
 * Begins an action: instance, quota and saga change in one transaction, and the taskmanager is rung. `check` throws a
 * Fault for what cannot be; it may be asked again.
 */
export async function begin<R>(
  call: Call<unknown, Platform>,
  name: keyof TaskmanagerMethods,
  task: Task,
  check: (instance: Instance) => Promise<Asked<R>> | Asked<R>,
): Promise<Reply> {
  const { deps, requestId } = call
  // What it takes of the quota may be refused; another writer that came between is asked again.
  const operation = await retrying(deps.store, async () => {
    const item = await findInstance(deps, call, call.params['id'] ?? '')
    const asked = await check(item.body)
    const operation = { id: deps.random.uuid(), name }
    const known = { project: item.body.project, instance: item.body.id, requestId }
    const now = deps.clock.now()
    const changes = [
      instances.replace(item, { ...item.body, ...asked.change, task, operation, updated: now }),
      beginning({ ...operation, ...known, request: asked.request }, now),
    ]
    await transactWithin(deps.store, known.project, asked.takes ?? {}, changes)
    return { changes: [], result: { ...operation, ...known } }
  })
  await ringOperation(deps, operation)
  return { status: 202 }
}

/** What a saga of an action changes at its end. */
export interface End<R> {
  /** What of the instance is another now that it is done. */
  done?(run: Running<R, Platform>, instance: Instance): Partial<Instance>
  /** What the quota gets back (negative) or loses. */
  quota?(run: Running<R, Platform>, outcome: Outcome): Amounts
  /** Where the instance stands when it failed: as before, unless told otherwise. */
  failed?: Task
}

/** Ends an action: done, or back to what was before, with the reason as the instance's fault. */
export const ending =
  <R>({ done, quota, failed = 'NONE' }: End<R>) =>
  async (run: Running<R, Platform>, outcome: Outcome): Promise<Change[]> => {
    const { deps, project, instance: id } = run
    const item = await instances.get(deps.store, project, id)
    const changes = quotaChanges(project, quota?.(run, outcome) ?? {})
    // A delete that did not wait for it has given back what the instance had, not what this was to add.
    if (!item) return changes
    const now = deps.clock.now()
    const changed = { ...item.body, ...(outcome === 'done' && done?.(run, item.body)) }
    // A delete has taken over, and set the task already.
    if (changed.operation?.id !== run.id) return [...changes, instances.replace(item, changed)]
    const { operation: _, fault: __, ...kept } = changed
    const fault = { message: run.error ?? 'failed', created: now, details: null }
    const ended: Instance = {
      ...kept,
      ...(await serverNow(deps, changed)),
      task: outcome === 'done' ? 'NONE' : failed,
      updated: now,
      // What is left in ERROR says why, cancelled or not.
      ...((outcome === 'failed' || (outcome === 'preempted' && failed !== 'NONE')) && { fault }),
    }
    return [...changes, instances.replace(item, ended)]
  }

/** What became of the server meanwhile: reports do not change it while a task runs. */
async function serverNow({ compute }: Platform, instance: Instance): Promise<Pick<Instance, 'server'>> {
  const facts = await compute.server(instance.project, serverOf(instance))
  if (!facts || !instance.server) return {}
  return { server: { status: facts.status, addresses: facts.addresses ?? instance.server.addresses } }
}
