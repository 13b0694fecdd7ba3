import { z } from 'zod'
import type { Call, Reply } from '../kit/http/route.ts'
import { saga } from '../kit/saga/saga.ts'
import type { Platform } from '../platform/platform.ts'
import { begin, ending } from './acting.ts'
import { isCarriedOut, serves } from './asked.ts'
import { assertServer, serverOf } from './instance.ts'
import { current } from './parts.ts'

const Nothing = z.object({})
type Nothing = z.infer<typeof Nothing>

/** `{"reboot":{}}` of management: the server stops and starts again, with all that is on it. A way out of most states. */
export const requestReboot = (call: Call<unknown, Platform>): Promise<Reply> =>
  begin(call, 'reboot', 'REBOOTING', instance => {
    assertServer(instance)
    return { request: {} }
  })

export const reboot = saga<Nothing, Platform>('reboot', Nothing, { settled: ending({}) })
  .step('server', {
    async do(run) {
      const instance = await current(run)
      const { id, project, generation } = instance
      await run.deps.compute.rebootServer({
        name: serverOf(instance),
        instance: id,
        project,
        generation,
        wish: run.id,
      })
    },
    waitFor: 'update_server',
    until: async run => isCarriedOut(run, 'server', serverOf(await current(run)), run.id),
  })
  .step('serving', serves)
