import { Fault } from '../kit/errors.ts'
import type { Mutation, Reply } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { agentCommands, type CommandRecord, commandId, commandSignal, type PlannedCommand } from './agent.ts'

/** How long a request waits for a command to end: below API Gateway's 29 s. */
const COMMAND_MS = 25_000

/**
 * The mutation that issues a command and waits for its end. `reply` is what it answers; with `replyOf`, what a dry run
 * does, and the command's result makes the real one.
 */
export const awaitedCommand = (
  platform: Platform,
  planned: PlannedCommand,
  reply: Reply,
  replyOf: (result: unknown) => Reply = () => reply,
): Mutation => ({
  ...planned,
  reply,
  afterCommit: async () => replyOf(await waitForCommand(platform, planned.command)),
})

/** Waits for the command to end. Throws its failure, or 504 after 25 s: then the command stays, and will still be done. */
async function waitForCommand(platform: Platform, command: CommandRecord): Promise<unknown> {
  const { project, instance, number } = command
  const ended = await platform.signals.waitFor(commandSignal(instance, number), COMMAND_MS, async () => {
    const item = await agentCommands.get(platform.store, project, commandId(instance, number))
    return item && item.body.status !== 'issued' ? item.body : undefined
  })
  if (!ended) {
    const reason = 'did not finish in time; the change stays queued and will still be applied'
    throw new Fault(504, `The agent of instance ${instance} ${reason}.`)
  }
  if (ended.status === 'cancelled') throw new Fault(409, 'The operation was cancelled.')
  if (ended.status === 'failed') throw new Fault(ended.error?.code ?? 500, ended.error?.message ?? 'failed')
  return ended.result
}
