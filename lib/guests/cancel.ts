import { guest as wire } from '../contracts/guest.ts'
import { retrying, type Stored } from '../kit/records.ts'
import type { Platform } from '../platform/platform.ts'
import { type CommandRow, commandBell, commandId, commands, guests, sendCommand } from './guest.ts'

/**
 * Cancels what an operation asked of the agent and the agent has not reported: the row loses its secrets, and the agent
 * counts it without doing it, unless it is at it already. Any number of times.
 */
export async function cancelCommands(
  platform: Platform,
  { project, instance, id }: { project: string; instance: string; id: string },
): Promise<void> {
  const to = await guests.get(platform.store, project, instance)
  if (!to) return
  const own = Object.entries(to.body.once).filter(([name]) => name.startsWith(`${id}/`))
  for (const [, number] of own) {
    const row = await cancelled(platform, project, commandId(instance, number))
    if (row?.status !== 'cancelled') continue
    platform.bells.ring(commandBell(instance, number))
    await sendCommand(platform, to.body, row)
  }
}

/** The row, marked if it was still to be done. */
async function cancelled(platform: Platform, project: string, id: string): Promise<CommandRow | undefined> {
  return retrying(platform.store, async () => {
    const row: Stored<CommandRow> | undefined = await commands.get(platform.store, project, id)
    if (row?.body.status !== 'issued') return { changes: [], result: row?.body }
    const input = await platform.vault.erase(wire.methods[row.body.method].input, row.body.input)
    const body: CommandRow = { ...row.body, status: 'cancelled', input }
    return { changes: [commands.replace(row, body)], result: body }
  })
}
