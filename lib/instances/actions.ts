import { z } from 'zod'
import { badRequest, notImplemented } from '../kit/errors.ts'
import { type Actions, action, choose } from '../kit/http/actions.ts'
import { PositiveInt, Reference, Uuid } from '../kit/http/schemas.ts'
import { findInstance } from '../model/instance.ts'
import type { Platform } from '../platform/platform.ts'
import { requestReboot } from './verbs/reboot.ts'
import { requestRebuild } from './verbs/rebuild.ts'
import { resetStatus } from './verbs/reset-status.ts'
import { requestResizeFlavor } from './verbs/resize-flavor.ts'
import { requestResizeVolume } from './verbs/resize-volume.ts'
import { requestRestart } from './verbs/restart.ts'
import { requestStop } from './verbs/stop.ts'

const Empty = z.strictObject({})
/** The new size, or an object with it. */
const VolumeSize = z.union([z.strictObject({ size: PositiveInt }), PositiveInt.transform(size => ({ size }))])

/** The actions of `POST /instances/{id}/action`, by the body's one key. */
export const actions: Actions<Platform> = {
  // openstacksdk sends null.
  restart: action(Empty.nullable(), requestRestart),
  resize: choose(
    action(z.strictObject({ volume: VolumeSize }), requestResizeVolume),
    action(z.strictObject({ flavorRef: Reference }), requestResizeFlavor),
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

/** The actions of `POST /mgmt/instances/{id}/action`. */
export const mgmtActions: Actions<Platform> = {
  stop: action(Empty, requestStop),
  reboot: action(Empty, requestReboot),
  migrate: action(z.strictObject({ host: z.string().max(255).optional() }), async call => {
    await findInstance(call.deps, call, call.params['id'] ?? '')
    throw notImplemented('This compute backend has no other host to migrate an instance to.')
  }),
  'reset-task-status': action(Empty, call => resetStatus({ ...call, body: {} })),
  rebuild: action(z.strictObject({ image_id: Uuid.optional() }), requestRebuild),
}
