import { z } from 'zod'
import type { Call, Reply } from '../kit/http/route.ts'
import { saga } from '../kit/saga/saga.ts'
import type { Platform } from '../platform/platform.ts'
import { begin, ending } from './acting.ts'
import { commanded } from './asked.ts'
import { assertServer } from './instance.ts'

const Nothing = z.object({})
type Nothing = z.infer<typeof Nothing>

/** `{"stop":{}}` of management: the database server stops, and stays so until it is restarted or its server rebooted. */
export const requestStop = (call: Call<unknown, Platform>): Promise<Reply> =>
  begin(call, 'stop_db', 'UPDATING', instance => {
    assertServer(instance)
    return { request: {} }
  })

export const stopDb = saga<Nothing, Platform>('stop_db', Nothing, { settled: ending({}) }).step(
  'stopped',
  commanded('stop_db', agent => agent.stop_db({})),
)
