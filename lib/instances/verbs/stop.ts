import type { Call, Mutation } from '../../kit/http/route.ts'
import { saga } from '../../kit/saga/saga.ts'
import { assertHasServer } from '../../model/instance.ts'
import type { Platform } from '../../platform/platform.ts'
import { agentCommandStep } from '../steps/agent-command.ts'
import { finishOperation, NoRequest, startOperation } from '../steps/operation.ts'

/** `{"stop":{}}` of management: the database server stops, and stays stopped until it is restarted or its server rebooted. */
export const requestStop = (call: Call<unknown, Platform>): Promise<Mutation> =>
  startOperation(call, 'stop_db', instance => {
    assertHasServer(instance)
    return { request: {} }
  })

export const stopDb = saga<NoRequest, Platform>('stop_db', NoRequest, { onEnd: finishOperation({}) }).step(
  'stop_database',
  agentCommandStep('stop_db', agent => agent.stop_db({})),
)
