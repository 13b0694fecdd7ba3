import { findInstance } from '../instances/instance.ts'
import { pageOf } from '../kit/http/paging.ts'
import { type Call, type Reply, type Route, route } from '../kit/http/route.ts'
import { sagas } from '../kit/saga/saga.ts'
import type { Platform } from '../platform/platform.ts'
import { operationView } from './operation.ts'

/** `GET …/instances/{id}/operations`, the latest first. `stepsOf` tells the steps of a kind of operation. */
export const routes = (stepsOf: (name: string) => string[]): Route<Platform>[] => [
  route({ method: 'GET', path: '/instances/{id}/operations', summary: "List an instance's operations" }, async call => {
    const item = await findInstance(call.deps, call, call.params['id'] ?? '')
    return listed(call, item.body.id, stepsOf)
  }),
]

async function listed(
  call: Call<unknown, Platform>,
  instance: string,
  stepsOf: (name: string) => string[],
): Promise<Reply> {
  pageOf(call.query)
  const rows = await sagas.ofInstance(call.deps.store, instance, { limit: 200 })
  const operations = rows
    .map(({ body }) => body)
    .sort((a, b) => b.started - a.started)
    .map(record => operationView(record, stepsOf(record.name)))
  return { status: 200, body: { operations } }
}
