import { TerminalError } from '../../kit/errors.ts'
import type { SagaRun, Step } from '../../kit/saga/saga.ts'
import { partOf, reloadInstance, serverOf } from '../../model/instance.ts'
import type { Platform } from '../../platform/platform.ts'
import type { MachineState, ServerSpec } from '../../ports/compute.ts'
import type { MachinePart } from './machine.ts'

type ServerChange = Partial<Pick<ServerSpec, 'flavor' | 'datastore'>>
type ChangeOf<R> = (run: SagaRun<R, Platform>) => ServerChange | Promise<ServerChange>

/** The name of a change of a machine: compute carries each one out once. */
export const changeId = (run: SagaRun<unknown, Platform>) => run.id
export const revertId = (run: SagaRun<unknown, Platform>) => `${run.id}/undo`

/** A step that changes what the server is; its undo changes it back. */
export function changeServerStep<R>(change: ChangeOf<R>, revert: ChangeOf<R>): Step<R, Platform> {
  const request = async (run: SagaRun<R, Platform>, id: string, spec: ServerChange) => {
    const instance = await reloadInstance(run)
    await run.deps.compute.changeServer({ ...partOf(instance, serverOf(instance)), changeId: id, ...spec })
  }
  const serverName = async (run: SagaRun<R, Platform>) => serverOf(await reloadInstance(run))
  return {
    do: async run => request(run, changeId(run), await change(run)),
    isDone: async run => machineChangeDone(run, 'server', await serverName(run)),
    undo: async run => request(run, revertId(run), await revert(run)),
    isUndone: async run => machineChangeReverted(run, 'server', await serverName(run)),
  }
}

/** Whether the machine has carried out the operation's change. Throws TerminalError if it could not, or is gone. */
export async function machineChangeDone(run: SagaRun<unknown, Platform>, part: MachinePart, name: string) {
  return isCarriedOut(await run.deps.compute[part](run.project, name), part, changeId(run))
}

/** Whether the machine has reverted the operation's change, or is lost or broken: then it never will. */
export async function machineChangeReverted(run: SagaRun<unknown, Platform>, part: MachinePart, name: string) {
  const state = await run.deps.compute[part](run.project, name)
  if (!state || state.status === 'GONE') return true
  if (state.changeId === revertId(run) && state.status === 'ERROR') return true
  return isCarriedOut(state, part, revertId(run))
}

function isCarriedOut(state: MachineState | undefined, part: MachinePart, id: string): boolean {
  if (state?.status === 'GONE') throw new TerminalError(`The ${part} of the instance is gone.`)
  if (state?.changeId !== id) return false
  if (state.fault !== undefined) throw new TerminalError(state.fault)
  return true
}
