import { z } from 'zod'
import { findFlavor } from '../flavors/flavor.ts'
import { badRequest, cut } from '../kit/errors.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import { saga } from '../kit/saga/saga.ts'
import type { Platform } from '../platform/platform.ts'
import { begin, ending } from './acting.ts'
import { commanded, commandedBack, serves } from './asked.ts'
import { changed } from './change-server.ts'
import { assertAvailable } from './instance.ts'
import { ramOf } from './parts.ts'
import { sizeOf } from './server.ts'

/** Ids of flavors. */
const ResizeRequest = z.object({ from: z.string(), to: z.string() })
type ResizeRequest = z.infer<typeof ResizeRequest>

/** `{"resize":{"flavorRef":id}}`: the server changes, and the database restarts with settings for it. */
export const requestResizeFlavor = (call: Call<{ flavor: string | number }, Platform>): Promise<Reply> =>
  begin(call, 'resize_flavor', 'RESIZING', instance => {
    const flavor = findFlavor(call.body.flavor)
    if (!flavor) throw badRequest(`Flavor ${cut(String(call.body.flavor))} cannot be found.`)
    const request = { from: instance.flavor, to: String(flavor.id) }
    if (request.from === request.to) throw badRequest('The new flavor id must be different than the current flavor id.')
    assertAvailable(instance)
    return { request, takes: { ram: Math.max(0, growth(request)) } }
  })

const growth = ({ from, to }: ResizeRequest) => ramOf({ flavor: to }) - ramOf({ flavor: from })

/** A database that does not start with the settings of the new flavor gets those of the old one again. */
export const resizeFlavor = saga<ResizeRequest, Platform>('resize_flavor', ResizeRequest, {
  settled: ending({
    done: ({ request }) => ({ flavor: request.to }),
    // What it grew by was taken at its beginning; what it shrank by is given back when it did.
    quota: ({ request }, outcome) =>
      outcome === 'done' ? { ram: Math.min(0, growth(request)) } : { ram: -Math.max(0, growth(request)) },
  }),
})
  .step(
    'settings of before',
    commandedBack('back', agent => agent.start_db_with_conf_changes({})),
  )
  .step(
    'server',
    changed(
      ({ request }) => ({ flavor: sizeOf(request.to) }),
      ({ request }) => ({ flavor: sizeOf(request.from) }),
    ),
  )
  .step(
    'restarted',
    commanded('restart', agent => agent.start_db_with_conf_changes({})),
  )
  .step('serving', serves)
