import { parsePageQuery } from '../../kit/http/paging.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import { type SagaRecord, sagas } from '../../kit/saga/saga.ts'
import { findInstance, type Instance, instanceSubject } from '../../model/instance.ts'
import { operationView } from '../../model/operation.ts'
import type { Platform } from '../../platform/platform.ts'
import type { SagaOf } from '../operation-of-path.ts'

/** How many records are read per query, and shown and read at most. A very busy instance may have more. */
const BATCH = 200
const MAX_SHOWN = 200
const MAX_READ = 10_000

/** `GET …/operations`, the newest first. */
export const listOperations =
  (sagaOf: SagaOf) =>
  async (call: Call<unknown, Platform>): Promise<Reply> => {
    const item = await findInstance(call.deps, call, call.params['id'] ?? '')
    parsePageQuery(call.query)
    const records = await newestOperations(call.deps, item.body)
    const operations = records.map(record => operationView(record, sagaOf(record.name)?.steps ?? []))
    return { status: 200, body: { operations } }
  }

const byStart = (a: SagaRecord, b: SagaRecord) => b.started - a.started

/** The newest operations of an instance, and in any case the running ones. All are read, as their ids are random. */
async function newestOperations({ store }: Platform, instance: Instance): Promise<SagaRecord[]> {
  const { id, project, operation, abortedOperation } = instance
  let newest: SagaRecord[] = []
  let after: string | undefined
  for (let read = 0; read < MAX_READ; read += BATCH) {
    const range = { limit: BATCH, ...(after !== undefined && { after }) }
    const rows = await sagas.ofSubject(store, instanceSubject(id), range)
    newest = [...newest, ...rows.map(({ body }) => body)].sort(byStart).slice(0, MAX_SHOWN)
    if (rows.length < BATCH) break
    after = rows.at(-1)?.key.id
  }
  for (const ref of [operation, abortedOperation]) {
    if (!ref || newest.some(record => record.id === ref.id)) continue
    const running = await sagas.get(store, project, ref.id)
    if (running) newest.push(running.body)
  }
  return newest.sort(byStart)
}
