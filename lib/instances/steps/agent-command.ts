import { type CommandRecord, guestClient } from '../../agents/agent.ts'
import type { GuestMethods } from '../../contracts/guest/guest.ts'
import { TerminalError } from '../../kit/errors.ts'
import type { Client } from '../../kit/rpc/contract.ts'
import type { SagaRun, Step, UndoStep } from '../../kit/saga/saga.ts'
import { isBeingDeleted, reloadInstance, serverOf } from '../../model/instance.ts'
import type { Platform } from '../../platform/platform.ts'

type Run<R> = SagaRun<R, Platform>
type Agent = Client<GuestMethods, CommandRecord>
/** Calls one command of the agent. */
type IssueCommand<R> = (agent: Agent, run: Run<R>) => Promise<CommandRecord>

/** How long an agent may take to undo: it may be the one that is dead. */
const UNDO_TIMEOUT_MS = 120_000

/** The instance whose agent is meant. */
type InstanceOf<R> = (run: Run<R>) => string
const subjectId = (run: Run<unknown>) => run.subject.id

/** The command's record. The first call issues the command, later ones return what became of it. `key` is unique in the saga. */
function issueOnce<R>(run: Run<R>, instance: string, key: string, issue: IssueCommand<R>): Promise<CommandRecord> {
  const { deps, project, requestId, id } = run
  return issue(guestClient(deps, { project, instance, requestId, dedupeKey: `${id}/${key}` }), run)
}

/**
 * A step that is one command to the agent of the operation's subject, or of another instance that it holds. The operation
 * fails if the command does, or the instance's server.
 */
export const agentCommandStep = <R>(
  key: string,
  issue: IssueCommand<R>,
  instanceOf: InstanceOf<R> = subjectId,
): Pick<Step<R, Platform>, 'isDone'> => ({
  async isDone(run) {
    const command = await issueOnce(run, instanceOf(run), key, issue)
    if (command.status === 'done') return true
    if (command.status === 'failed') {
      throw new TerminalError(command.error?.message ?? `The agent could not do ${command.method}.`)
    }
    if (command.status === 'cancelled') throw new TerminalError(`${command.method} was cancelled.`)
    const state = await run.deps.compute.server(run.project, serverOf(await reloadInstance(run, instanceOf(run))))
    if (state?.status === 'ERROR') throw new TerminalError(state.fault ?? 'The server of the instance failed.')
    return false
  },
})

/** The undo of a step by one command to the agent. It is given up when the agent is silent, and skipped before a delete. */
export const agentCommandUndo = <R>(
  key: string,
  issue: IssueCommand<R>,
  instanceOf: InstanceOf<R> = subjectId,
): Pick<UndoStep<R, Platform>, 'isUndone' | 'undoDeadlineMs'> => ({
  undoDeadlineMs: UNDO_TIMEOUT_MS,
  async isUndone(run) {
    if (isBeingDeleted(await reloadInstance(run, instanceOf(run)))) return true
    return (await issueOnce(run, instanceOf(run), key, issue)).status !== 'issued'
  },
})

/** A step that is done when the database serves. */
export const waitUntilServing = {
  async isDone(run: Run<unknown>) {
    const { agentReport: report } = await reloadInstance(run)
    // Ignore failures that were reported before this operation started: they are why it runs.
    if (report?.status === 'failed' && report.at >= run.started) {
      throw new TerminalError(report.message ?? 'The database server failed.')
    }
    return report?.status === 'running' || report?.status === 'healthy'
  },
}

/** The same after all processes of the server were ended: what the agent reported before says nothing any more. */
export const waitUntilServingAgain = {
  async isDone(run: Run<unknown>) {
    const { agentReport: report } = await reloadInstance(run)
    return report !== undefined && report.at >= run.started && waitUntilServing.isDone(run)
  },
}
