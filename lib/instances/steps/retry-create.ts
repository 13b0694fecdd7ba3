import { agentCommands, agentRecords, newAgentRecord } from '../../agents/agent.ts'
import { conflict } from '../../kit/errors.ts'
import type { SagaRecord } from '../../kit/saga/saga.ts'
import { ramQuota } from '../../model/flavor.ts'
import { beginRetry, type Instance, instanceSubject, instances } from '../../model/instance.ts'
import { loadLimits, reservationChanges } from '../../model/quota.ts'
import type { Platform } from '../../platform/platform.ts'
import type { Change } from '../../ports/store.ts'

/**
 * The changes that let a failed create start again. It gets a generation of its own, so that machine parts, agent and
 * commands of the first try cannot interfere, and reserves its quota again. Throws 409 if the instance was changed since.
 */
export async function prepareRetry(
  { store, clock }: Platform,
  { project, subject: { id }, failedStep }: SagaRecord,
  next: string,
): Promise<Change[]> {
  const item = await instances.get(store, project, id)
  const agent = await agentRecords.get(store, project, id)
  if (!item || !agent || !canRetry(item.body) || failedStep === undefined) {
    throw conflict(`Instance ${id} has changed since its create failed; the create cannot be retried.`)
  }
  const now = clock.now()
  const { quotaReleased: _, ...rest } = beginRetry(item.body, { id: next, name: 'create_instance' }, now)
  const { generation } = rest
  const volume = { ...rest.volume, generation }
  const reserves = { ram: ramQuota(rest), volumes: rest.volume.sizeGb }
  const commands = await agentCommands.ofSubject(store, instanceSubject(id), { limit: 50 })
  return [
    ...reservationChanges(project, reserves, await loadLimits(store, project)),
    instances.replace(item, { ...rest, volume }),
    agentRecords.replace(agent, newAgentRecord({ id, project, generation }, now), { due: undefined }),
    ...commands.map(command => agentCommands.remove(command)),
  ]
}

const canRetry = ({ failure, operation, quotaReleased }: Instance): boolean =>
  operation === undefined && quotaReleased === true && failure !== undefined
