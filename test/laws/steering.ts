import { routes as instanceRoutes, sagas } from '../../lib/instances/index.ts'
import { Fault } from '../../lib/kit/errors.ts'
import type { Route } from '../../lib/kit/http/route.ts'
import type { Saga, SagaRecord } from '../../lib/kit/saga/saga.ts'
import { routes } from '../../lib/operations/routes.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { silentLog } from '../kit/random.ts'
import { perform } from '../sim/perform.ts'
import type { World } from '../sim/world.ts'

const sagaOf = (name: string): Saga<unknown, Platform> | undefined =>
  Object.values(sagas).find(saga => saga.name === name)
const allRoutes: Route<Platform>[] = [...instanceRoutes, ...routes(sagaOf)]

/** Cancels or retries the operation with that id through its route; returns the status and the error message. */
export async function steer(
  platform: Platform,
  action: 'cancel' | 'retry',
  id: string,
  project = 'p1',
): Promise<[number, string]> {
  const [item] = (await platform.store.all('saga', { limit: 100 })).items.filter(({ key }) => key.id === `saga#${id}`)
  const params = { id: (item?.body as SagaRecord | undefined)?.subject.id ?? '', operation_id: id }
  const caller = { project, user: 'u1', admin: false, requestId: 'req-9', base: '', query: {}, method: 'POST' }
  const route = allRoutes.find(({ path }) => path === '/instances/{id}/operations/{operation_id}/action')
  try {
    const call = { ...caller, deps: platform, params, body: { [action]: {} }, log: silentLog }
    const { status } = await perform(platform, async () => route?.handle(call as never) ?? { status: 0 })
    return [status, '']
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return [error.status, error.message]
  }
}

/** The id of the latest operation of that name. */
export async function operationId(world: World, name: string): Promise<string> {
  const records = ((await world.sagas()) as SagaRecord[]).filter(record => record.name === name)
  return records.sort((a, b) => b.started - a.started)[0]?.id ?? ''
}

export async function operationRecord(world: World, id: string): Promise<SagaRecord> {
  const record = ((await world.sagas()) as SagaRecord[]).find(one => one.id === id)
  if (!record) throw new Error(`no operation ${id}`)
  return record
}
