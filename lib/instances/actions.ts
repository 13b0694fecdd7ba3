import { z } from 'zod'
import { badRequest, cut, notImplemented } from '../kit/errors.ts'
import { validated } from '../kit/http/parse.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { Reference, Size, Uuid } from './create-body.ts'
import { findInstance } from './instance.ts'
import { requestReboot } from './reboot.ts'
import { requestRebuild } from './rebuild.ts'
import { resetStatus } from './reset-status.ts'
import { requestResizeFlavor } from './resize-flavor.ts'
import { requestResizeVolume } from './resize-volume.ts'
import { requestRestart } from './restart.ts'
import { requestStop } from './stop.ts'

/** One key of an action's body: its schema and what it does. */
interface Action {
  body: z.ZodType
  handle(call: Call<never, Platform>): Promise<Reply>
}
type Actions = Record<string, Action>

const action = <S extends z.ZodType>(
  body: S,
  handle: (call: Call<z.output<S>, Platform>) => Promise<Reply>,
): Action => ({
  body,
  handle,
})

const Empty = z.strictObject({})

const Resize = z.union([
  z.strictObject({ volume: z.union([z.strictObject({ size: Size }), Size.transform(size => ({ size }))]) }),
  z.strictObject({ flavorRef: Reference }),
])

/** What `POST /instances/{id}/action` can do, by the body's one key. */
export const actions: Actions = {
  // openstacksdk says null.
  restart: action(Empty.nullable(), requestRestart),
  resize: action(Resize, async call =>
    'volume' in call.body
      ? requestResizeVolume({ ...call, body: call.body.volume })
      : requestResizeFlavor({ ...call, body: { flavor: call.body.flavorRef } }),
  ),
  promote_to_replica_source: action(z.unknown(), async call => {
    const { body } = await findInstance(call.deps, call, call.params['id'] ?? '')
    throw badRequest(`Instance ${body.id} is not a replica.`)
  }),
  eject_replica_source: action(z.unknown(), async call => {
    const { body } = await findInstance(call.deps, call, call.params['id'] ?? '')
    throw badRequest(`Instance ${body.id} is not a replica source.`)
  }),
  reset_status: action(z.looseObject({}), resetStatus),
}

/** What `POST /mgmt/instances/{id}/action` can do besides. */
export const mgmtActions: Actions = {
  stop: action(Empty, requestStop),
  reboot: action(Empty, requestReboot),
  migrate: action(z.strictObject({ host: z.string().max(255).optional() }), async call => {
    await findInstance(call.deps, call, call.params['id'] ?? '')
    throw notImplemented('This compute backend has no other host to migrate an instance to.')
  }),
  'reset-task-status': action(Empty, call => resetStatus({ ...call, body: {} })),
  rebuild: action(z.strictObject({ image_id: Uuid.optional() }), requestRebuild),
}

/** Any one action; which, says the handler, with the words of Trove. */
export const ActionBody = z.record(z.string(), z.unknown().nullable())

/** The same, told in full: exactly one of these. */
export const shownActions = (known: Actions) =>
  z.union(Object.entries(known).map(([name, { body }]) => z.strictObject({ [name]: body })))

/** Does the one action of the body. Throws 400 unless it is exactly one, and known. */
export const act =
  (known: Actions) =>
  async (call: Call<Record<string, unknown>, Platform>): Promise<Reply> => {
    const [name, ...more] = Object.keys(call.body)
    if (name === undefined || more.length > 0) throw badRequest('The body must have exactly one action.')
    const found = Object.hasOwn(known, name) ? known[name] : undefined
    if (!found) throw badRequest(`There is no such action: ${cut(name)}.`)
    const body = validated(z.object({ [name]: found.body }), call.body)[name]
    return found.handle({ ...call, body: body as never })
  }
