import type { Call, Mutation } from '../../kit/http/route.ts'
import { saga } from '../../kit/saga/saga.ts'
import { assertHasServer, partOf, reloadInstance, serverOf } from '../../model/instance.ts'
import type { Platform } from '../../platform/platform.ts'
import { waitUntilServingAgain } from '../steps/agent-command.ts'
import { changeId, machineChangeDone } from '../steps/change-server.ts'
import { finishOperation, NoRequest, startOperation } from '../steps/operation.ts'

/** `{"reboot":{}}` of management: the server stops and starts again, with all that runs on it. It repairs most states. */
export const requestReboot = (call: Call<unknown, Platform>): Promise<Mutation> =>
  startOperation(call, 'reboot', instance => {
    assertHasServer(instance)
    return { request: {} }
  })

export const reboot = saga<NoRequest, Platform>('reboot', NoRequest, { onEnd: finishOperation({}) })
  .step('reboot_server', {
    async do(run) {
      const instance = await reloadInstance(run)
      await run.deps.compute.rebootServer({ ...partOf(instance, serverOf(instance)), changeId: changeId(run) })
    },
    isDone: async run => machineChangeDone(run, 'server', serverOf(await reloadInstance(run))),
  })
  .step('wait_until_serving', waitUntilServingAgain)
