import { z } from 'zod'
import type { Call, Reply } from '../kit/http/route.ts'
import { saga } from '../kit/saga/saga.ts'
import type { Platform } from '../platform/platform.ts'
import { begin, ending } from './acting.ts'
import { commanded, serves } from './asked.ts'
import { assertAvailable } from './instance.ts'

const Nothing = z.object({})
type Nothing = z.infer<typeof Nothing>

/** `{"restart":{}}`: the database server stops and starts again; its machine does not. */
export const requestRestart = (call: Call<unknown, Platform>): Promise<Reply> =>
  begin(call, 'restart', 'REBOOTING', instance => {
    assertAvailable(instance)
    return { request: {} }
  })

export const restart = saga<Nothing, Platform>('restart', Nothing, { settled: ending({}) })
  .step(
    'restarted',
    commanded('restart', agent => agent.restart({})),
  )
  .step('serving', serves)
