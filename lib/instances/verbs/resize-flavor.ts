import { z } from 'zod'
import { badRequest, truncate } from '../../kit/errors.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { saga } from '../../kit/saga/saga.ts'
import { findFlavor, flavorSize, ramQuota } from '../../model/flavor.ts'
import { assertAvailable } from '../../model/instance.ts'
import type { Platform } from '../../platform/platform.ts'
import { agentCommandStep, agentCommandUndo, waitUntilServing } from '../steps/agent-command.ts'
import { changeServerStep } from '../steps/change-server.ts'
import { finishOperation, startOperation } from '../steps/operation.ts'

/** Ids of flavors, and the host that the instance is on. */
const ResizeRequest = z.object({ from: z.string(), to: z.string(), host: z.string().optional() })
type ResizeRequest = z.infer<typeof ResizeRequest>

/** `{"resize":{"flavorRef":id}}`: the server changes, and the database restarts with settings for it. */
export const requestResizeFlavor = (call: Call<{ flavorRef: string | number }, Platform>): Promise<Mutation> =>
  startOperation(call, 'resize_flavor', instance => {
    const ref = call.body.flavorRef
    const flavor = findFlavor(ref)
    if (!flavor) throw badRequest(`Flavor ${truncate(String(ref))} cannot be found.`)
    const { host } = instance
    const request = { from: instance.flavor, to: String(flavor.id), ...(host !== undefined && { host }) }
    if (request.from === request.to) throw badRequest('The new flavor id must be different than the current flavor id.')
    assertAvailable(instance)
    return { request, reserves: { ram: Math.max(0, growth(request)) } }
  })

/** By how much ram the instance grows, in MB; negative when it shrinks. */
const growth = ({ from, to }: ResizeRequest) => ramQuota({ flavor: to }) - ramQuota({ flavor: from })

/** A database that does not start with the settings of the new flavor gets those of the old one back. */
export const resizeFlavor = saga<ResizeRequest, Platform>('resize_flavor', ResizeRequest, {
  onEnd: finishOperation({
    done: ({ request }) => ({ flavor: request.to }),
    // Growth was reserved at the start; what the instance shrank by is returned when it has shrunk.
    quota: ({ request }, outcome) =>
      outcome === 'done' ? { ram: Math.min(0, growth(request)) } : { ram: -Math.max(0, growth(request)) },
    host: ({ request }) => request.host,
  }),
})
  .onUndo(
    'restore_settings_on_undo',
    agentCommandUndo('back', agent => agent.start_db_with_conf_changes({})),
  )
  .step(
    'change_server',
    changeServerStep(
      ({ request }) => ({ flavor: flavorSize(request.to) }),
      ({ request }) => ({ flavor: flavorSize(request.from) }),
    ),
  )
  .step(
    'restart_with_new_settings',
    agentCommandStep('restart', agent => agent.start_db_with_conf_changes({})),
  )
  .step('wait_until_serving', waitUntilServing)
