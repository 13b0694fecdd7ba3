import { conflict, overLimit } from '../kit/errors.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import { retrying, type Stored } from '../kit/records.ts'
import { beginning, isOver, type Saga, type SagaRecord, sagas } from '../kit/saga/saga.ts'
import { hasErased } from '../kit/secret.ts'
import type { Platform } from '../platform/platform.ts'
import { type Change, Conflict } from '../platform/store/store.ts'
import { type OperationRef, preemption, ringOperation } from './operation.ts'

type SagaOf = (name: string) => Saga<unknown, Platform> | undefined
/** Reads the operation that is steered, anew each time. Throws 404. */
type Find = () => Promise<Stored<SagaRecord>>

/** Makes a running operation turn round: it is undone, and ends CANCELLED. Throws 409 if it cannot any more, or never can. */
export async function cancel(call: Call<unknown, Platform>, find: Find, sagaOf: SagaOf): Promise<Reply> {
  const { deps } = call
  const record = await retrying(deps.store, async () => {
    const { body } = await find()
    const { id, name, project, status, preempted } = body
    if (isOver(body)) throw conflict(`Operation ${id} has ended already: it is ${status}.`)
    if (sagaOf(name)?.forwardOnly) throw conflict(`A ${name} cannot be cancelled: it only runs forward.`)
    if (status === 'UNDOING' && !preempted) throw conflict(`Operation ${id} is being undone already.`)
    return { changes: await preemption(deps, project, id, 'The operation was cancelled.'), result: body }
  })
  await ringOperation(deps, refOf(record, call.requestId))
  return { status: 202 }
}

/**
 * Has a waiting or parked operation looked at at once, its tries counted anew; begins one that failed once more, where its
 * kind can be. Throws 409, and 413 where it does not fit the quota any more.
 */
export async function retry(call: Call<unknown, Platform>, find: Find, sagaOf: SagaOf): Promise<Reply> {
  const { deps } = call
  const record = await within(() =>
    retrying(deps.store, async () => {
      const item = await find()
      if (!isOver(item.body)) return { changes: [lookedAt(item, deps.clock.now())], result: item.body }
      return begunAgain(call, item.body, sagaOf(item.body.name))
    }),
  )
  await ringOperation(deps, refOf(record, call.requestId))
  return { status: 202 }
}

function lookedAt(item: Stored<SagaRecord>, now: number): Change {
  const { parked: _, ...kept } = item.body
  const live = kept.lease && kept.lease.until > now
  // Whoever is at it now goes on at once after this try.
  return sagas.replace(item, { ...kept, tries: 0, ...(live && { rung: true }) }, live ? {} : { due: now })
}

async function begunAgain(
  { deps, requestId }: Call<unknown, Platform>,
  ended: SagaRecord,
  saga?: Saga<unknown, Platform>,
) {
  const { id, name, project, instance, status, request } = ended
  if (status === 'DONE') throw conflict(`Operation ${id} has ended well: there is nothing to retry.`)
  if (!saga?.again) throw conflict(`A ${name} is not begun again: ask for it anew.`)
  if (await hasErased(saga.schema, request)) {
    throw conflict(`The secrets in the request of operation ${id} were erased when it ended: ask for it anew.`)
  }
  const next = deps.random.uuid()
  const fresh = { id: next, name, project, instance, requestId, request }
  const changes = await saga.again(deps, ended, next)
  const begun = beginning(fresh, deps.clock.now())
  return { changes: [...changes, begun], result: { ...ended, ...fresh } }
}

/** What goes over a quota is refused as at a create. */
async function within<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Conflict) || error.reason !== 'bound') throw error
    throw overLimit('Quota exceeded for the resources of this operation.')
  }
}

const refOf = ({ id, name, project, instance }: SagaRecord, requestId: string) => ({
  id,
  name: name as OperationRef['name'],
  project,
  instance,
  requestId,
})
