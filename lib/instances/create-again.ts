import { commands, guests, newGuest } from '../guests/guest.ts'
import { conflict } from '../kit/errors.ts'
import type { SagaRecord } from '../kit/saga/saga.ts'
import type { Platform } from '../platform/platform.ts'
import type { Change } from '../platform/store/store.ts'
import { allowanceOf, quotaChanges } from '../quotas/quota.ts'
import { type Instance, instances } from './instance.ts'
import { ramOf } from './parts.ts'

/**
 * A failed create begins anew: on a generation of its own, whose machine parts, agent and commands have nothing to do
 * with those that were given back, and with the quota for them taken again. Throws 409 once something else came after it.
 */
export async function createAgain(
  { store, clock }: Platform,
  { project, instance: id, failedStep }: SagaRecord,
  next: string,
): Promise<Change[]> {
  const item = await instances.get(store, project, id)
  const guest = await guests.get(store, project, id)
  if (!item || !guest || !awaitsCreate(item.body) || failedStep === undefined) {
    throw conflict(`Instance ${id} is not what its failed create left: that cannot be begun again.`)
  }
  const { fault: _, gaveBack: __, service: ___, server: ____, preempted: _____, ...kept } = item.body
  const now = clock.now()
  const generation = kept.generation + 1
  const volume = { ...kept.volume, generation }
  const operation = { id: next, name: 'create_instance' as const }
  const takes = { ram: ramOf(kept), volumes: kept.volume.sizeGb }
  const rows = await commands.ofInstance(store, id, { limit: 50 })
  return [
    ...quotaChanges(project, takes, await allowanceOf(store, project)),
    instances.replace(item, { ...kept, volume, generation, operation, task: 'BUILDING', updated: now }),
    guests.replace(guest, newGuest({ id, project, generation }, now), { due: undefined }),
    ...rows.map(row => commands.remove(row)),
  ]
}

const awaitsCreate = ({ task, operation, gaveBack }: Instance): boolean =>
  operation === undefined && gaveBack === true && task.startsWith('BUILDING_ERROR')
