import { z } from 'zod'
import { badRequest, notFound } from '../kit/errors.ts'
import type { Call, Mutation } from '../kit/http/route.ts'
import { Uuid } from '../kit/http/schemas.ts'
import { findInstance, instances } from '../model/instance.ts'
import { Access, InstanceName } from '../model/instance-fields.ts'
import type { Platform } from '../platform/platform.ts'
import { requestAccess } from './verbs/access.ts'
import { requestUpgrade } from './verbs/upgrade.ts'

const Changes = z.strictObject({
  name: InstanceName.optional(),
  configuration: Uuid.nullish(),
  /** Any value means: detach it from its source. */
  replica_of: z.unknown().optional(),
  datastore_version: z.string().min(1).max(255).optional(),
})

/** What `PUT /instances/{id}` takes, and `PATCH`, which is deprecated. Unknown keys are refused, as in Trove. */
export const PutBody = z.strictObject({ instance: Changes.extend({ access: Access.optional() }) })
export const PatchBody = z.strictObject({ instance: Changes.extend({ slave_of: z.unknown().optional() }) })
type UpdateBody = z.infer<typeof PutBody> | z.infer<typeof PatchBody>

/** A new name, and at most one more change; an empty one detaches the configuration. */
export async function requestUpdate(call: Call<UpdateBody, Platform>): Promise<Mutation> {
  const { name, ...changes } = call.body.instance
  const [key, ...others] = Object.keys(changes)
  if (others.length > 0) throw badRequest(`Only one of ${[key, ...others].join(', ')} can be changed at a time.`)
  const { access } = { access: undefined, ...changes }
  if (access) return requestAccess({ ...call, body: { access, name } })
  const { datastore_version: version, configuration } = changes
  if (version !== undefined) return requestUpgrade({ ...call, body: { version, name } })
  const item = await findInstance(call.deps, call, call.params['id'] ?? '')
  const instance = item.body
  if (configuration) throw notFound(`Configuration ${configuration} cannot be found.`)
  if (key === 'replica_of' || key === 'slave_of') throw badRequest(`Instance ${instance.id} is not a replica.`)
  const renamed = { ...instance, name: name ?? instance.name, updated: call.deps.clock.now() }
  return { reply: { status: 202 }, changes: name === undefined ? [] : [instances.replace(item, renamed)] }
}
