import type { Call, Mutation } from '../../kit/http/route.ts'
import { saga } from '../../kit/saga/saga.ts'
import { assertAvailable } from '../../model/instance.ts'
import type { Platform } from '../../platform/platform.ts'
import { agentCommandStep, waitUntilServing } from '../steps/agent-command.ts'
import { finishOperation, NoRequest, startOperation } from '../steps/operation.ts'

/** `{"restart":{}}`: the database server stops and starts again; its machine does not. */
export const requestRestart = (call: Call<unknown, Platform>): Promise<Mutation> =>
  startOperation(call, 'restart', instance => {
    assertAvailable(instance)
    return { request: {} }
  })

export const restart = saga<NoRequest, Platform>('restart', NoRequest, { onEnd: finishOperation({}) })
  .step(
    'restart_database',
    agentCommandStep('restart', agent => agent.restart({})),
  )
  .step('wait_until_serving', waitUntilServing)
