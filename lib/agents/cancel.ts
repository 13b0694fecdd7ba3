import { guest } from '../contracts/guest/guest.ts'
import { type Stored, withOptimisticRetry } from '../kit/records.ts'
import type { Platform } from '../platform/platform.ts'
import { agentCommands, agentRecords, type CommandRecord, commandId, commandSignal, sendCommand } from './agent.ts'

/**
 * Cancels the commands of an operation to an instance that its agent has not reported: their records lose their secrets, and the agent
 * skips them, but for one that it has begun. May be called any number of times.
 */
export async function cancelCommands(
  platform: Platform,
  project: string,
  instance: string,
  operation: string,
): Promise<void> {
  const agent = await agentRecords.get(platform.store, project, instance)
  if (!agent) return
  for (const [key, number] of Object.entries(agent.body.dedupeKeys)) {
    if (!key.startsWith(`${operation}/`)) continue
    const command = await markCancelled(platform, project, commandId(instance, number))
    if (command?.status !== 'cancelled') continue
    platform.signals.notify(commandSignal(instance, number))
    await sendCommand(platform, agent.body, command)
  }
}

/** The command as it is now: cancelled, unless it has ended before. */
async function markCancelled(platform: Platform, project: string, id: string): Promise<CommandRecord | undefined> {
  return withOptimisticRetry(platform.store, async () => {
    const item: Stored<CommandRecord> | undefined = await agentCommands.get(platform.store, project, id)
    if (item?.body.status !== 'issued') return { changes: [], result: item?.body }
    const input = await platform.vault.erase(guest.methods[item.body.method].input, item.body.input)
    const command: CommandRecord = { ...item.body, status: 'cancelled', input }
    return { changes: [agentCommands.replace(item, command)], result: command }
  })
}
