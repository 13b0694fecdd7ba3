import { z } from 'zod'
import type { Call, Mutation } from '../../kit/http/route.ts'
import type { Stored } from '../../kit/records.ts'
import { heldSubjects, type SagaOutcome, type SagaRun, sagaRecord } from '../../kit/saga/saga.ts'
import type { Transaction } from '../../kit/transaction.ts'
import {
  assertIdle,
  beginOperation,
  endOperation,
  findInstance,
  type Instance,
  instanceSubject,
  instances,
  serverOf,
} from '../../model/instance.ts'
import type { OperationRef } from '../../model/operation.ts'
import { growOnHost, memoryChanges, type ResourceAmounts, reservationChanges, reserveQuota } from '../../model/quota.ts'
import type { Platform } from '../../platform/platform.ts'
import type { Change, Subject } from '../../ports/store.ts'
import { operationMessage } from '../../taskmanager/runner.ts'
import type { Failure, OperationName } from '../../trove/operations.ts'

/** The request of a saga that needs nothing besides its instance. */
export const NoRequest = z.object({})
export type NoRequest = z.infer<typeof NoRequest>

/** How an operation on an instance starts. */
interface OperationPlan<R> {
  /** The request of its saga. */
  request: R
  /** What it reserves of the project's quota until it ends; its `ram` of the host's memory, too. */
  reserves?: ResourceAmounts
  /** Fields of the instance to change immediately. */
  change?: Partial<Instance>
}

/** What starts an operation, by a request or by the system itself. */
interface OperationStart<R> extends OperationPlan<R> {
  name: OperationName
  /** The request that it is part of, or an id of its own if the system begins it. */
  requestId: string
  /** What its subject is a part of. */
  parent?: Subject
}

/**
 * The transaction that starts an operation: it holds all the instances, the first as its subject, or none of them. All are
 * of one project. Throws 422 while another operation runs on one of them.
 */
export async function planOperation<R>(
  platform: Platform,
  [main, ...others]: [Stored<Instance>, ...Stored<Instance>[]],
  { name, requestId, request, reserves = {}, change, parent }: OperationStart<R>,
): Promise<Transaction & { operation: OperationRef }> {
  const { store, random, clock } = platform
  const { project, id } = main.body
  if (others.some(({ body }) => body.project !== project)) throw new Error('an operation is of one project')
  for (const { body } of [main, ...others]) assertIdle(body)
  const operation = { id: random.uuid(), name }
  const now = clock.now()
  const subject = instanceSubject(id)
  const fields = { ...operation, project, subject, requestId, request, ...(parent && { parent }) }
  const alsoHolds = others.map(({ body }) => instanceSubject(body.id))
  const { changes, onBound } = await reserveQuota(store, project, reserves)
  return {
    changes: [
      ...changes,
      ...(await growOnHost(platform, main.body, reserves.ram ?? 0)),
      instances.replace(main, { ...beginOperation(main.body, operation, now), ...change }),
      ...others.map(item => instances.replace(item, beginOperation(item.body, operation, now))),
      sagaRecord({ ...fields, ...(alsoHolds.length > 0 && { alsoHolds }) }, now),
    ],
    messages: [operationMessage({ ...operation, project, subject, requestId })],
    onBound,
    operation,
  }
}

/** Starts an operation on the path's instance. `plan` throws a Fault for what is not possible. */
export async function startOperation<R>(
  call: Call<unknown, Platform>,
  name: OperationName,
  plan: (instance: Instance) => Promise<OperationPlan<R>> | OperationPlan<R>,
): Promise<Mutation> {
  const { deps, requestId } = call
  const item = await findInstance(deps, call, call.params['id'] ?? '')
  const start = { ...(await plan(item.body)), name, requestId }
  return { reply: { status: 202 }, ...(await planOperation(deps, [item], start)) }
}

/** What an operation changes when it ends. */
interface FinishOptions<R> {
  /** Fields of its subject to change on success. */
  done?(run: SagaRun<R, Platform>, instance: Instance): Partial<Instance>
  /** What of the quota is returned (negative) or taken; its `ram` of the host's memory, too. */
  quota?(run: SagaRun<R, Platform>, outcome: SagaOutcome): ResourceAmounts
  /** The host as the request has it, if the subject may be gone before what was reserved is returned. */
  host?(run: SagaRun<R, Platform>): string | undefined
  /** How it leaves its subject broken if it does not succeed. Default: as it was before. */
  failure?: Failure
}

/**
 * The `onEnd` of an operation: done, or back to what was before, with the reason as the instance's fault. All instances that
 * it holds are released in the transaction that ends it.
 */
export const finishOperation =
  <R>(options: FinishOptions<R>) =>
  async (run: SagaRun<R, Platform>, outcome: SagaOutcome): Promise<Change[]> => {
    // A delete that did not wait has returned what the instance had, but not what this operation reserved.
    const amounts = options.quota?.(run, outcome) ?? {}
    const host = amounts.ram ? await hostOfSubject(run, options) : undefined
    const released = await Promise.all(heldSubjects(run).map(held => release(run, outcome, held, options)))
    return [...reservationChanges(run.project, amounts), ...memoryChanges(host, amounts.ram ?? 0), ...released.flat()]
  }

async function hostOfSubject<R>(run: SagaRun<R, Platform>, { host }: FinishOptions<R>): Promise<string | undefined> {
  return host?.(run) ?? (await instances.get(run.deps.store, run.project, run.subject.id))?.body.host
}

/** The change that releases an instance; none if it is gone. */
async function release<R>(
  run: SagaRun<R, Platform>,
  outcome: SagaOutcome,
  held: Subject,
  { done, failure }: FinishOptions<R>,
): Promise<Change[]> {
  const { deps, project, id, error } = run
  const item = await instances.get(deps.store, project, held.id)
  if (!item) return []
  const isMain = held.id === run.subject.id
  const instance = { ...item.body, ...(isMain && outcome === 'done' && done?.(run, item.body)) }
  const server = await currentServer(deps, instance)
  const ending = { id, outcome, error, failure: isMain ? failure : undefined, server, now: deps.clock.now() }
  return [instances.replace(item, endOperation(instance, ending))]
}

/** The server's state as compute knows it: reports do not change the instance while an operation runs. */
async function currentServer({ compute }: Platform, instance: Instance): Promise<Instance['server']> {
  const state = await compute.server(instance.project, serverOf(instance))
  if (!state || !instance.server) return instance.server
  return { status: state.status, addresses: state.addresses ?? instance.server.addresses }
}
