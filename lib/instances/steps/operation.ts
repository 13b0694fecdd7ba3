import { z } from 'zod'
import type { TaskmanagerMethods } from '../../contracts/taskmanager.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import { withOptimisticRetry } from '../../kit/records.ts'
import { type SagaOutcome, type SagaRun, sagaRecord } from '../../kit/saga/saga.ts'
import { findInstance, type Instance, instances, serverOf, type Task } from '../../model/instance.ts'
import { type ResourceAmounts, reservationChanges, transactWithQuota } from '../../model/quota.ts'
import type { Platform } from '../../platform/platform.ts'
import type { Change } from '../../ports/store.ts'
import { wakeOperation } from '../../taskmanager/runner.ts'

/** The request of a saga that needs nothing besides its instance. */
export const NoRequest = z.object({})
export type NoRequest = z.infer<typeof NoRequest>

/** How an operation on an instance starts. */
interface OperationPlan<R> {
  /** The request of its saga. */
  request: R
  /** What it reserves of the project's quota until it ends. */
  reserves?: ResourceAmounts
  /** Fields of the instance to change immediately. */
  change?: Partial<Instance>
}

/**
 * Starts an operation on the path's instance: instance, quota and saga are written in one transaction, then the taskmanager
 * is woken. `plan` throws a Fault for what is not possible; it may be called more than once.
 */
export async function startOperation<R>(
  call: Call<unknown, Platform>,
  name: keyof TaskmanagerMethods,
  task: Task,
  plan: (instance: Instance) => Promise<OperationPlan<R>> | OperationPlan<R>,
): Promise<Reply> {
  const { deps, requestId } = call
  // Quota and transaction are inside the retry: the quota may refuse, and another writer may come between.
  const operation = await withOptimisticRetry(deps.store, async () => {
    const item = await findInstance(deps, call, call.params['id'] ?? '')
    const { request, reserves = {}, change } = await plan(item.body)
    const ref = { id: deps.random.uuid(), name }
    const subject = { project: item.body.project, instance: item.body.id, requestId }
    const now = deps.clock.now()
    await transactWithQuota(deps.store, subject.project, reserves, [
      instances.replace(item, { ...item.body, ...change, task, operation: ref, updated: now }),
      sagaRecord({ ...ref, ...subject, request }, now),
    ])
    return { changes: [], result: { ...ref, ...subject } }
  })
  await wakeOperation(deps, operation)
  return { status: 202 }
}

/** What an operation changes when it ends. */
interface FinishOptions<R> {
  /** Fields of the instance to change on success. */
  done?(run: SagaRun<R, Platform>, instance: Instance): Partial<Instance>
  /** What of the quota is returned (negative) or taken. */
  quota?(run: SagaRun<R, Platform>, outcome: SagaOutcome): ResourceAmounts
  /** The instance's task after a failure. Default: none, as before the operation. */
  failed?: Task
}

/** The `onEnd` of an operation: done, or back to what was before, with the reason as the instance's fault. */
export const finishOperation =
  <R>({ done, quota, failed = 'NONE' }: FinishOptions<R>) =>
  async (run: SagaRun<R, Platform>, outcome: SagaOutcome): Promise<Change[]> => {
    const { deps, project, instance: id } = run
    const item = await instances.get(deps.store, project, id)
    const quotaChanges = reservationChanges(project, quota?.(run, outcome) ?? {})
    // A delete that did not wait has returned what the instance had, but not what this operation reserved.
    if (!item) return quotaChanges
    const now = deps.clock.now()
    const instance = { ...item.body, ...(outcome === 'done' && done?.(run, item.body)) }
    // A delete has taken over, and has set the task already.
    if (instance.operation?.id !== run.id) return [...quotaChanges, instances.replace(item, instance)]
    const { operation: _, fault: __, ...rest } = instance
    const fault = { message: run.error ?? 'failed', created: now, details: null }
    // Keep the reason when the instance ends in ERROR, even after a cancel.
    const keepsFault = outcome === 'failed' || (outcome === 'aborted' && failed !== 'NONE')
    const finished: Instance = {
      ...rest,
      ...(await currentServer(deps, instance)),
      task: outcome === 'done' ? 'NONE' : failed,
      updated: now,
      ...(keepsFault && { fault }),
    }
    return [...quotaChanges, instances.replace(item, finished)]
  }

/** The server's state as compute knows it: reports do not change the instance while an operation runs. */
async function currentServer({ compute }: Platform, instance: Instance): Promise<Pick<Instance, 'server'>> {
  const state = await compute.server(instance.project, serverOf(instance))
  if (!state || !instance.server) return {}
  return { server: { status: state.status, addresses: state.addresses ?? instance.server.addresses } }
}
