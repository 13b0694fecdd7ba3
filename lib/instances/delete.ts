import { z } from 'zod'
import { guestTopic } from '../contracts/conductor.ts'
import { commands, guests } from '../guests/guest.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import { retrying, type Stored } from '../kit/records.ts'
import { beginning, isOver, type Running, saga, sagas } from '../kit/saga/saga.ts'
import { preemption, ringOperation } from '../operations/operation.ts'
import type { Platform } from '../platform/platform.ts'
import { quotaChanges } from '../quotas/quota.ts'
import { findInstance, type Instance, instances, pointers } from './instance.ts'
import { isGone, ramOf, remove } from './parts.ts'
import { burial } from './tombstone.ts'

/** The operation that has to turn round first. */
const DeleteRequest = z.object({ preempts: z.string().optional() })
type DeleteRequest = z.infer<typeof DeleteRequest>

/** `DELETE /instances/{id}`: taken in every state; whatever runs on the instance is turned round first. */
export async function requestDelete(call: Call<unknown, Platform>): Promise<Reply> {
  const { deps, requestId, params } = call
  const ring = await retrying(deps.store, async () => {
    const item = await findInstance(deps, call, params['id'] ?? '')
    const { project, id, task, operation: running } = item.body
    const known = { project, instance: id, requestId }
    if (task === 'DELETING' && running) return { changes: [], result: [{ ...running, ...known }] }
    const operation = { id: deps.random.uuid(), name: 'delete_instance' as const }
    const now = deps.clock.now()
    const changes = [
      instances.replace(item, { ...deleting(item, operation, now), ...(running && { preempted: running }) }),
      beginning({ ...operation, ...known, request: running ? { preempts: running.id } : {} }, now),
      ...(running ? await preemption(deps, project, running.id, 'The instance is being deleted.') : []),
    ]
    return { changes, result: [running, operation].flatMap(one => (one ? [{ ...one, ...known }] : [])) }
  })
  for (const operation of ring) await ringOperation(deps, operation)
  return { status: 202 }
}

function deleting(item: Stored<Instance>, operation: NonNullable<Instance['operation']>, now: number): Instance {
  const { fault: _, ...kept } = item.body
  return { ...kept, task: 'DELETING', operation, updated: now }
}

type Run = Running<DeleteRequest, Platform>

/** Forward only: what is already gone counts as done. */
export const deleteInstance = saga<DeleteRequest, Platform>('delete_instance', DeleteRequest, {
  forwardOnly: true,
  async settled({ deps, project, instance }) {
    const item = await instances.get(deps.store, project, instance)
    const guest = await guests.get(deps.store, project, instance)
    if (!item) return []
    const { gaveBack, volume } = item.body
    const parts = gaveBack ? {} : { ram: -ramOf(item.body), volumes: -volume.sizeGb }
    return [
      instances.remove(item),
      { op: 'delete', key: pointers.key('*', instance) },
      ...(guest ? [guests.remove(guest)] : []),
      ...quotaChanges(project, { instances: -1, ...parts }),
      ...(await burial(deps, item.body)),
    ]
  },
})
  .step('preempted', {
    waitFor: 'the end of the operation before',
    async until({ deps, project, request }) {
      const before = request.preempts === undefined ? undefined : await sagas.get(deps.store, project, request.preempts)
      return !before || isOver(before.body) || before.body.parked === true
    },
  })
  .step('server', { do: run => remove(run, 'server'), waitFor: 'update_server', until: run => isGone(run, 'server') })
  .step('volume', { do: run => remove(run, 'volume'), waitFor: 'update_volume', until: run => isGone(run, 'volume') })
  .step('forgotten', { do: forget })

/** Removes the agent's queue and the commands it was asked; the last records go with the saga's end. */
async function forget({ deps, project, instance }: Run): Promise<void> {
  const guest = await guests.get(deps.store, project, instance)
  if (guest) await deps.queue.remove(guestTopic(instance, guest.body.generation))
  for (;;) {
    const rows = await commands.ofInstance(deps.store, instance, { limit: 50 })
    if (rows.length === 0) return
    await deps.store.transact(rows.map(row => ({ op: 'delete', key: row.key })))
  }
}
