import { z } from 'zod'
import { badRequest, overLimit } from '../../kit/errors.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { type SagaRun, saga } from '../../kit/saga/saga.ts'
import { assertAvailable, partOf, reloadInstance, volumeOf } from '../../model/instance.ts'
import { MAX_VOLUME_GB } from '../../model/quota.ts'
import type { Platform } from '../../platform/platform.ts'
import { changeId, machineChangeDone, machineChangeReverted, revertId } from '../steps/change-server.ts'
import { finishOperation, startOperation } from '../steps/operation.ts'

/** Sizes in GB. */
const ResizeRequest = z.object({ from: z.number(), to: z.number() })
type ResizeRequest = z.infer<typeof ResizeRequest>

/** `{"resize":{"volume":{"size":n}}}`: up only, while the database serves. */
export const requestResizeVolume = (call: Call<{ volume: { size: number } }, Platform>): Promise<Mutation> =>
  startOperation(call, 'resize_volume', instance => {
    const from = instance.volume.sizeGb
    const to = call.body.volume.size
    if (to <= from) throw badRequest(`The new volume 'size' must be larger than the current volume size of '${from}'.`)
    if (to > MAX_VOLUME_GB) {
      throw overLimit(`Volume 'size' cannot exceed maximum of ${MAX_VOLUME_GB} GB, ${to} cannot be accepted.`)
    }
    assertAvailable(instance)
    return { request: { from, to }, reserves: { volumes: to - from } }
  })

type Run = SagaRun<ResizeRequest, Platform>

export const resizeVolume = saga<ResizeRequest, Platform>('resize_volume', ResizeRequest, {
  onEnd: finishOperation({
    done: ({ request }, { volume }) => ({ volume: { ...volume, sizeGb: request.to } }),
    quota: ({ request: { from, to } }, outcome) => (outcome === 'done' ? {} : { volumes: from - to }),
  }),
}).step('grow_volume', {
  do: run => requestSize(run, run.request.to, changeId(run)),
  isDone: async run => machineChangeDone(run, 'volume', volumeOf(await reloadInstance(run))),
  undo: run => requestSize(run, run.request.from, revertId(run)),
  isUndone: async run => machineChangeReverted(run, 'volume', volumeOf(await reloadInstance(run))),
})

async function requestSize(run: Run, sizeGb: number, id: string): Promise<void> {
  const instance = await reloadInstance(run)
  await run.deps.compute.resizeVolume({ ...partOf(instance, volumeOf(instance)), sizeGb, changeId: id })
}
