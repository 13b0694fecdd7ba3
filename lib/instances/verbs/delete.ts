import { z } from 'zod'
import { agentRecords } from '../../agents/agent.ts'
import { deleteCommands } from '../../agents/delete-commands.ts'
import { guestTopic } from '../../contracts/conductor.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { hasEnded, type SagaRun, saga, sagaRecord, sagas } from '../../kit/saga/saga.ts'
import { recordDeletion } from '../../model/deleted-instance.ts'
import { ramQuota } from '../../model/flavor.ts'
import {
  beginDelete,
  findInstance,
  instanceSubject,
  instances,
  isBeingDeleted,
  projectIndex,
} from '../../model/instance.ts'
import { abortRequest } from '../../model/operation.ts'
import { memoryChanges, type ResourceAmounts, reservationChanges } from '../../model/quota.ts'
import type { Platform } from '../../platform/platform.ts'
import { operationMessage } from '../../taskmanager/runner.ts'
import { isRemoved, requestRemoval } from '../steps/machine.ts'

/** The operation that has to be rolled back first. */
const DeleteRequest = z.object({ preempts: z.string().optional() })
type DeleteRequest = z.infer<typeof DeleteRequest>

/** `DELETE /instances/{id}`: accepted in every state. An operation that runs on the instance is rolled back first. */
export async function requestDelete(call: Call<unknown, Platform>): Promise<Mutation> {
  const { deps, requestId, params } = call
  const item = await findInstance(deps, call, params['id'] ?? '')
  const { project, id, operation: running } = item.body
  const about = { project, subject: instanceSubject(id), requestId }
  const wake = running ? [operationMessage({ ...running, ...about })] : []
  const reply = { status: 202 }
  if (isBeingDeleted(item.body)) return { reply, messages: wake }
  const operation = { id: deps.random.uuid(), name: 'delete_instance' as const }
  const now = deps.clock.now()
  const changes = [
    instances.replace(item, beginDelete(item.body, operation, now)),
    sagaRecord({ ...operation, ...about, request: running ? { preempts: running.id } : {} }, now),
    ...(running ? await abortRequest(deps, project, running.id, 'The instance is being deleted.') : []),
  ]
  return { reply, changes, messages: [...wake, operationMessage({ ...operation, ...about })] }
}

type Run = SagaRun<DeleteRequest, Platform>

/** Runs forward only: what is already gone counts as deleted. */
export const deleteInstance = saga<DeleteRequest, Platform>('delete_instance', DeleteRequest, {
  forwardOnly: true,
  async onEnd({ deps, project, subject }) {
    const instance = subject.id
    const item = await instances.get(deps.store, project, instance)
    const agent = await agentRecords.get(deps.store, project, instance)
    if (!item) return []
    const { quotaReleased, volume } = item.body
    const parts: ResourceAmounts = quotaReleased ? {} : { ram: -ramQuota(item.body), volumes: -volume.sizeGb }
    return [
      instances.remove(item),
      { op: 'delete', key: projectIndex.key('*', instance) },
      ...(agent ? [agentRecords.remove(agent)] : []),
      ...reservationChanges(project, { instances: -1, ...parts }),
      ...memoryChanges(item.body.host, parts.ram ?? 0),
      ...(await recordDeletion(deps, item.body)),
    ]
  },
})
  .step('wait_for_previous_operation', { isDone: previousOperationEnded })
  .step('delete_server', { do: run => requestRemoval(run, 'server'), isDone: run => isRemoved(run, 'server') })
  .step('delete_volume', { do: run => requestRemoval(run, 'volume'), isDone: run => isRemoved(run, 'volume') })
  .step('delete_records', { do: deleteRecords })

/** A previous operation that is parked is not waited for. */
async function previousOperationEnded({ deps, project, request }: Run): Promise<boolean> {
  const id = request.preempts
  const previous = id === undefined ? undefined : await sagas.get(deps.store, project, id)
  return !previous || hasEnded(previous.body) || previous.body.parked === true
}

/**
 * Removes the queues of all agents that the instance had, and the commands. The last records go in the transaction that
 * ends the saga.
 */
async function deleteRecords({ deps, project, subject }: Run): Promise<void> {
  const instance = subject.id
  const agent = await agentRecords.get(deps.store, project, instance)
  // A restart may have declared the queue of an earlier agent again, after it was removed.
  for (let generation = agent?.body.generation ?? 0; generation > 0; generation--) {
    await deps.queue.remove(guestTopic(instance, generation))
  }
  await deleteCommands(deps.store, instance)
}
