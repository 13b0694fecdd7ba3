import { z } from 'zod'
import { findInstance, type Instance } from '../instances/instance.ts'
import { badRequest, cut, notFound } from '../kit/errors.ts'
import { pageOf } from '../kit/http/paging.ts'
import { validated } from '../kit/http/parse.ts'
import { ACCEPTED, bodied, type Call, ok, type Reply, type Route, route } from '../kit/http/route.ts'
import type { Stored } from '../kit/records.ts'
import { type Saga, type SagaRecord, sagas } from '../kit/saga/saga.ts'
import type { Platform } from '../platform/platform.ts'
import { operationView } from './operation.ts'
import { OperationAction, OperationAnswer, OperationList } from './schemas.ts'
import { cancel, retry } from './steer.ts'

/** The saga of that name; undefined for one of a version before. */
export type SagaOf = (name: string) => Saga<unknown, Platform> | undefined

const ONE = '/instances/{id}/operations/{operation_id}'
const Action = z.record(z.string(), z.unknown())

/** What is at work on an instance, and what was: seen and steered. */
export const routes = (sagaOf: SagaOf): Route<Platform>[] => [
  route(
    {
      method: 'GET',
      path: '/instances/{id}/operations',
      summary: "List an instance's operations",
      answers: ok(OperationList),
    },
    call => list(call, sagaOf),
  ),
  route({ method: 'GET', path: ONE, summary: 'Show an operation', answers: ok(OperationAnswer) }, async call => {
    const { body } = await findOperation(call)
    return { status: 200, body: { operation: operationView(body, sagaOf(body.name)?.steps ?? []) } }
  }),
  bodied(
    {
      method: 'POST',
      path: `${ONE}/action`,
      summary: 'Cancel or retry an operation',
      body: Action,
      shownBody: OperationAction,
      answers: ACCEPTED,
    },
    call => act(call, sagaOf),
  ),
]

/** How many are read at once, and shown at most; what is read beyond so many is an instance's that never rests. */
const PAGE = 200
const SHOWN = 200
const MOST_READ = 10_000

/** `GET …/operations`, the latest first. */
async function list(call: Call<unknown, Platform>, sagaOf: SagaOf): Promise<Reply> {
  const item = await findInstance(call.deps, call, call.params['id'] ?? '')
  pageOf(call.query)
  const records = await latest(call.deps, item.body)
  const operations = records.map(record => operationView(record, sagaOf(record.name)?.steps ?? []))
  return { status: 200, body: { operations } }
}

const byStart = (a: SagaRecord, b: SagaRecord) => b.started - a.started

/** The latest operations of an instance, and whatever is at work on it. Their ids, in whose order they are read, are random. */
async function latest({ store }: Platform, instance: Instance): Promise<SagaRecord[]> {
  const { id, project, operation, preempted } = instance
  let shown: SagaRecord[] = []
  let after: string | undefined
  for (let read = 0; read < MOST_READ; read += PAGE) {
    const rows = await sagas.ofInstance(store, id, { limit: PAGE, ...(after !== undefined && { after }) })
    shown = [...shown, ...rows.map(({ body }) => body)].sort(byStart).slice(0, SHOWN)
    if (rows.length < PAGE) break
    after = rows.at(-1)?.key.id
  }
  for (const ref of [operation, preempted]) {
    if (!ref || shown.some(record => record.id === ref.id)) continue
    const atWork = await sagas.get(store, project, ref.id)
    if (atWork) shown.push(atWork.body)
  }
  return shown.sort(byStart)
}

/** The path's operation of the path's instance. Throws 404. */
async function findOperation(call: Call<unknown, Platform>): Promise<Stored<SagaRecord>> {
  const { body: instance } = await findInstance(call.deps, call, call.params['id'] ?? '')
  const id = call.params['operation_id'] ?? ''
  const found = /^[0-9a-f-]{36}$/.test(id) ? await sagas.get(call.deps.store, instance.project, id) : undefined
  if (!found || found.body.instance !== instance.id) throw notFound(`Operation ${cut(id)} cannot be found.`)
  return found
}

const ACTIONS = { cancel, retry }

/** `{"cancel":{}}` or `{"retry":{}}`. Throws 400 for anything else. */
async function act(call: Call<Record<string, unknown>, Platform>, sagaOf: SagaOf): Promise<Reply> {
  const [name, ...more] = Object.keys(call.body)
  if (name === undefined || more.length > 0) throw badRequest('The body must have exactly one action.')
  if (name !== 'cancel' && name !== 'retry') throw badRequest(`There is no such action: ${cut(name)}.`)
  validated(z.object({ [name]: z.strictObject({}) }), call.body)
  return ACTIONS[name](call, () => findOperation(call), sagaOf)
}
