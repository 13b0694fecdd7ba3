import { guestTopic } from '../contracts/conductor.ts'
import { instanceSubject } from '../model/instance.ts'
import type { Platform } from '../platform/platform.ts'
import {
  type AgentRecord,
  agentCommands,
  agentRecords,
  type CommandRecord,
  commandId,
  isPending,
  MAX_PENDING,
  sendCommand,
} from './agent.ts'

const MIN_DELAY_MS = 1_000
/** Where the queue tells its backlog, nothing is sent twice to an agent that is gone; elsewhere messages must not pile up. */
const MAX_DELAY_MS = { withBacklog: 60_000, withoutBacklog: 900_000 }

/** Sends an agent's pending commands again. The next time is as far off as the oldest of them is old, within bounds. */
export async function redeliverDue(platform: Platform, project: string, instance: string): Promise<void> {
  const { store, queue, clock } = platform
  const item = await agentRecords.get(store, project, instance)
  if (!item) return
  const agent = item.body
  const pending = await pendingCommands(platform, agent)
  const age = clock.now() - (pending[0]?.issuedAt ?? agent.lastIssuedAt)
  const maxDelay = queue.backlog ? MAX_DELAY_MS.withBacklog : MAX_DELAY_MS.withoutBacklog
  const due = clock.now() + Math.min(maxDelay, Math.max(MIN_DELAY_MS, age))
  const hasPending = agent.lastIssued > agent.lastDone
  await store.transact([agentRecords.replace(item, agent, { due: hasPending ? due : undefined })])
  if (hasPending) await resendCommands(platform, agent, pending)
}

/** The commands that the agent has still to report, in order; 50 at most. */
async function pendingCommands({ store }: Platform, { instance, lastDone }: AgentRecord): Promise<CommandRecord[]> {
  const after = `command#${commandId(instance, lastDone)}`
  const rows = await agentCommands.ofSubject(store, instanceSubject(instance), { after, limit: MAX_PENDING })
  // Some after the last done one may have ended: they were reported out of order, and have lost their secrets.
  return rows.map(({ body }) => body).filter(isPending)
}

/** Sends every pending command again, in order; none while as many messages wait in the agent's queue. */
export async function resendCommands(platform: Platform, agent: AgentRecord, pending?: CommandRecord[]): Promise<void> {
  const commands = pending ?? (await pendingCommands(platform, agent))
  const backlog = await platform.queue.backlog?.(guestTopic(agent.instance, agent.generation))
  if (backlog !== undefined && backlog >= commands.length) return
  for (const command of commands) await sendCommand(platform, agent, command)
}
