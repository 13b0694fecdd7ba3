import { routes as instanceRoutes, sagas } from '../../lib/instances/index.ts'
import { Fault } from '../../lib/kit/errors.ts'
import type { Route } from '../../lib/kit/http/route.ts'
import type { Saga, SagaRecord } from '../../lib/kit/saga/saga.ts'
import { routes } from '../../lib/operations/routes.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { silentLog } from '../kit/random.ts'
import type { World } from '../sim/world.ts'

const sagaOf = (name: string): Saga<unknown, Platform> | undefined =>
  Object.values(sagas).find(saga => saga.name === name)
const all: Route<Platform>[] = [...instanceRoutes, ...routes(sagaOf)]

/** Steers the operation of that id, as the API does. Answers status and message. */
export async function steered(
  platform: Platform,
  action: 'cancel' | 'retry',
  id: string,
  project = 'p1',
): Promise<[number, string]> {
  const [item] = (await platform.store.all('saga', { limit: 100 })).items.filter(({ key }) => key.id === `saga#${id}`)
  const params = { id: (item?.body as SagaRecord | undefined)?.instance ?? '', operation_id: id }
  const known = { project, user: 'u1', admin: false, requestId: 'req-9', base: '', query: {}, method: 'POST' }
  const found = all.find(({ path }) => path === '/instances/{id}/operations/{operation_id}/action')
  try {
    const call = { ...known, deps: platform, params, body: { [action]: {} }, log: silentLog }
    const reply = await found?.handle(call as never)
    return [reply?.status ?? 0, '']
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return [error.status, error.message]
  }
}

/** The id of the latest operation of that name. */
export async function operationId(world: World, name: string): Promise<string> {
  const found = ((await world.sagas()) as SagaRecord[]).filter(record => record.name === name)
  return found.sort((a, b) => b.started - a.started)[0]?.id ?? ''
}

export async function recordOf(world: World, id: string): Promise<SagaRecord> {
  const found = ((await world.sagas()) as SagaRecord[]).find(record => record.id === id)
  if (!found) throw new Error(`no operation ${id}`)
  return found
}
