import type { Running, Step } from '../kit/saga/saga.ts'
import type { ServerSpec } from '../platform/compute/compute.ts'
import type { Platform } from '../platform/platform.ts'
import { isCarriedOut, isTakenBack } from './asked.ts'
import { serverOf } from './instance.ts'
import { current } from './parts.ts'

type Change = Partial<Pick<ServerSpec, 'flavor' | 'datastore'>>

/** A step that has the machine change what the server is, to this and back. */
export function changed<R>(
  to: (run: Running<R, Platform>) => Change | Promise<Change>,
  back: (run: Running<R, Platform>) => Change | Promise<Change>,
): Step<R, Platform> {
  const ask = async (run: Running<R, Platform>, change: Change, wish: string) => {
    const instance = await current(run)
    const { id, project, generation } = instance
    await run.deps.compute.changeServer({
      name: serverOf(instance),
      instance: id,
      project,
      generation,
      wish,
      ...change,
    })
  }
  return {
    do: async run => ask(run, await to(run), run.id),
    waitFor: 'update_server',
    until: async run => isCarriedOut(run, 'server', serverOf(await current(run)), run.id),
    undo: async run => ask(run, await back(run), `${run.id}/undo`),
    undone: async run => isTakenBack(run, 'server', serverOf(await current(run)), `${run.id}/undo`),
  }
}
