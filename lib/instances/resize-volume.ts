import { z } from 'zod'
import { badRequest, overLimit } from '../kit/errors.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import { type Running, saga } from '../kit/saga/saga.ts'
import type { Platform } from '../platform/platform.ts'
import { MAX_VOLUME_GB } from '../quotas/quota.ts'
import { begin, ending } from './acting.ts'
import { isCarriedOut, isTakenBack } from './asked.ts'
import { assertAvailable, volumeOf } from './instance.ts'
import { current } from './parts.ts'

/** Sizes in GB. */
const ResizeRequest = z.object({ from: z.number(), to: z.number() })
type ResizeRequest = z.infer<typeof ResizeRequest>

/** `{"resize":{"volume":{"size":n}}}`: up only, while the database serves. */
export const requestResizeVolume = (call: Call<{ size: number }, Platform>): Promise<Reply> =>
  begin(call, 'resize_volume', 'RESIZING', instance => {
    const from = instance.volume.sizeGb
    const to = call.body.size
    if (to <= from) throw badRequest(`The new volume 'size' must be larger than the current volume size of '${from}'.`)
    if (to > MAX_VOLUME_GB) {
      throw overLimit(`Volume 'size' cannot exceed maximum of ${MAX_VOLUME_GB} GB, ${to} cannot be accepted.`)
    }
    assertAvailable(instance)
    return { request: { from, to }, takes: { volumes: to - from } }
  })

type Run = Running<ResizeRequest, Platform>

export const resizeVolume = saga<ResizeRequest, Platform>('resize_volume', ResizeRequest, {
  settled: ending({
    done: ({ request }, { volume }) => ({ volume: { ...volume, sizeGb: request.to } }),
    quota: ({ request: { from, to } }, outcome) => (outcome === 'done' ? {} : { volumes: from - to }),
  }),
}).step('volume', {
  do: run => sized(run, run.request.to, run.id),
  waitFor: 'update_volume',
  until: async run => isCarriedOut(run, 'volume', volumeOf(await current(run)), run.id),
  undo: run => sized(run, run.request.from, `${run.id}/undo`),
  undone: async run => isTakenBack(run, 'volume', volumeOf(await current(run)), `${run.id}/undo`),
})

async function sized(run: Run, sizeGb: number, wish: string): Promise<void> {
  const instance = await current(run)
  const { id, project, generation } = instance
  await run.deps.compute.resizeVolume({ name: volumeOf(instance), instance: id, project, generation, sizeGb, wish })
}
