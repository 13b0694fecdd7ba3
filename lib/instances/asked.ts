import type { GuestMethods } from '../contracts/guest.ts'
import { type CommandRow, guestClient } from '../guests/guest.ts'
import type { Client } from '../kit/contract.ts'
import { Permanent } from '../kit/errors.ts'
import type { Running, Step } from '../kit/saga/saga.ts'
import type { Facts } from '../platform/compute/compute.ts'
import type { Platform } from '../platform/platform.ts'
import { serverOf } from './instance.ts'
import { current, type Part } from './parts.ts'

type Run<R> = Running<R, Platform>
type Agent = Client<GuestMethods, CommandRow>

/** How long an agent may take to put back what was before; it may be dead. */
const BACK_MS = 120_000

/** The command's row: asked for at the first call, looked at later. `once` names it within the saga. */
function asked<R>(
  { deps, project, instance, requestId, id }: Run<R>,
  once: string,
  ask: (agent: Agent) => Promise<CommandRow>,
) {
  return ask(guestClient(deps, { project, instance, requestId, once: `${id}/${once}` }))
}

/** A step that is one command to the agent. Turns round if the command fails, or its server does. */
export const commanded = <R>(
  once: string,
  ask: (agent: Agent, run: Run<R>) => Promise<CommandRow>,
): Pick<Step<R, Platform>, 'until' | 'waitFor'> => ({
  waitFor: 'notify_end',
  async until(run) {
    const row = await asked(run, once, agent => ask(agent, run))
    if (row.status === 'failed') throw new Permanent(row.error?.message ?? `The agent could not do ${row.method}.`)
    if (row.status === 'cancelled') throw new Permanent(`${row.method} was cancelled.`)
    if (row.status === 'done') return true
    const facts = await run.deps.compute.server(run.project, serverOf(await current(run)))
    if (facts?.status === 'ERROR') throw new Permanent(facts.fault ?? 'The server of the instance failed.')
    return false
  },
})

/** The undo of a step by one command to the agent. Given up when the agent is silent, left out when the instance goes. */
export const commandedBack = <R>(
  once: string,
  ask: (agent: Agent, run: Run<R>) => Promise<CommandRow>,
): Pick<Step<R, Platform>, 'undone' | 'undoDeadlineMs'> => ({
  undoDeadlineMs: BACK_MS,
  async undone(run) {
    if ((await current(run)).task === 'DELETING') return true
    const row = await asked(run, once, agent => ask(agent, run))
    return row.status !== 'issued'
  },
})

/** A step that ends when the database serves. */
export const serves: Pick<Step<unknown, Platform>, 'until' | 'waitFor'> = {
  waitFor: 'heartbeat',
  async until(run) {
    const { service } = await current(run)
    // What it said before is what is being mended.
    if (service?.status === 'failed' && service.at >= run.started) {
      throw new Permanent(service.message ?? 'The database server failed.')
    }
    return service?.status === 'running' || service?.status === 'healthy'
  },
}

/** Whether the machine has carried out the change of that name. Throws Permanent if it could not, or is gone. */
export async function isCarriedOut(run: Run<unknown>, part: Part, name: string, wish: string) {
  return hasCarriedOut(await run.deps.compute[part](run.project, name), part, wish)
}

/** Whether the machine has taken a change back by that wish, or has nothing left that could be: a lost one never will. */
export async function isTakenBack(run: Run<unknown>, part: Part, name: string, wish: string) {
  const facts = await run.deps.compute[part](run.project, name)
  if (!facts || facts.status === 'GONE' || (facts.wish === wish && facts.status === 'ERROR')) return true
  return hasCarriedOut(facts, part, wish)
}

function hasCarriedOut(facts: Facts | undefined, part: Part, wish: string): boolean {
  if (facts?.status === 'GONE') throw new Permanent(`The ${part} of the instance is gone.`)
  if (facts?.wish !== wish) return false
  if (facts.fault !== undefined) throw new Permanent(facts.fault)
  return true
}
