import { notFound, truncate } from '../kit/errors.ts'
import type { Call } from '../kit/http/route.ts'
import type { Stored } from '../kit/records.ts'
import { heldSubjects, type Saga, type SagaRecord, sagas } from '../kit/saga/saga.ts'
import { findInstance } from '../model/instance.ts'
import type { Platform } from '../platform/platform.ts'

/** The saga with that name; undefined if this version of Coffer has none. */
export type SagaOf = (name: string) => Saga<unknown, Platform> | undefined

/** The path's operation, if it belongs to the path's instance. Throws 404. */
export async function findOperation(call: Call<unknown, Platform>): Promise<Stored<SagaRecord>> {
  const { body: instance } = await findInstance(call.deps, call, call.params['id'] ?? '')
  const id = call.params['operation_id'] ?? ''
  const item = /^[0-9a-f-]{36}$/.test(id) ? await sagas.get(call.deps.store, instance.project, id) : undefined
  if (!item || !heldSubjects(item.body).some(held => held.id === instance.id))
    throw notFound(`Operation ${truncate(id)} cannot be found.`)
  return item
}
