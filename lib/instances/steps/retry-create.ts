import { agentCommands, agentRecords } from '../../agents/agent.ts'
import { newAgentRecord } from '../../agents/enrol-secret.ts'
import { conflict, overLimit } from '../../kit/errors.ts'
import type { SagaRecord } from '../../kit/saga/saga.ts'
import type { Transaction } from '../../kit/transaction.ts'
import { engineOfInstance } from '../../model/catalog.ts'
import { ramQuota } from '../../model/flavor.ts'
import { beginRetry, type Instance, instanceSubject, instances } from '../../model/instance.ts'
import { chooseHost } from '../../model/placement.ts'
import { loadLimits, reservationChanges } from '../../model/quota.ts'
import type { Platform } from '../../platform/platform.ts'

/**
 * What lets a failed create start again. It gets a generation of its own, so that machine parts, agent and commands of
 * the first try cannot interfere, reserves its quota again, and is placed again. Throws 409 if the instance was changed
 * since, and 422 if no host has room.
 */
export async function prepareRetry(
  platform: Platform,
  { project, subject: { id }, failedStep }: SagaRecord,
  next: string,
): Promise<Pick<Transaction, 'changes' | 'onBound'>> {
  const { store, clock } = platform
  const item = await instances.get(store, project, id)
  const agent = await agentRecords.get(store, project, id)
  if (!item || !agent || !canRetry(item.body) || failedStep === undefined) {
    throw conflict(`Instance ${id} has changed since its create failed; the create cannot be retried.`)
  }
  const now = clock.now()
  const { quotaReleased: _, host: __, ...rest } = beginRetry(item.body, { id: next, name: 'create_instance' }, now)
  const { generation } = rest
  const volume = { ...rest.volume, generation }
  const reserves = { ram: ramQuota(rest), volumes: rest.volume.sizeGb }
  const commands = await agentCommands.ofSubject(store, instanceSubject(id), { limit: 50 })
  const quota = reservationChanges(project, reserves, await loadLimits(store, project))
  const { fields, indexed, changes } = await chooseHost(platform, {
    ramMb: reserves.ram,
    datastore: engineOfInstance(rest.datastore),
  })
  return {
    changes: [
      ...quota,
      ...changes,
      instances.replace(item, { ...rest, volume, ...fields }, { subject: undefined, ...indexed }),
      agentRecords.replace(agent, await newAgentRecord(platform, { id, project, generation }), { due: undefined }),
      ...commands.map(command => agentCommands.remove(command)),
    ],
    // Another instance may have come first on the host: then it is chosen again.
    onBound: async index =>
      index < quota.length ? overLimit('Quota exceeded for the resources of this operation.') : undefined,
  }
}

const canRetry = ({ failure, operation, quotaReleased }: Instance): boolean =>
  operation === undefined && quotaReleased === true && failure !== undefined
