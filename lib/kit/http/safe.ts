import type { Queue } from '../../platform/queue/queue.ts'
import type { Change } from '../../platform/store/store.ts'
import { badRequest, Fault, reason } from '../errors.ts'
import { type Mode, Outdated, Taken, type Unit, unitOf } from '../unit.ts'
import { assertKey, type OnceDeps, type OnceRecord, type Outcome, once, replayed } from './idempotency.ts'
import { type ApiEvent, header, type Middleware, type PipelineDeps } from './pipeline.ts'
import type { Call, Reply } from './route.ts'

/** What making a request safe needs of its deps. */
export interface SafeDeps extends OnceDeps, PipelineDeps {
  queue: Queue
  unit?: { direct: Pick<SafeDeps, 'store' | 'queue'>; dry: boolean }
}

/** The record that each mutation leaves: the change that writes it, or none. `outcome` is undefined until it is known. */
export type Recorder<D> = (event: ApiEvent<D>, outcome: Outcome | undefined) => Change[]

/** Whether the request may change something. */
export const isMutation = (method: string): boolean => !['GET', 'HEAD', 'OPTIONS'].includes(method)

/** Whether a mutation shall only be checked. Throws 400 for a `dry_run` that is neither true nor false. */
export function isDry({ method, query }: Pick<Call, 'method' | 'query'>): boolean {
  const told = query['dry_run']
  if (told === undefined || !isMutation(method)) return false
  if (told !== 'true' && told !== 'false') throw badRequest('dry_run must be true or false.')
  return told === 'true'
}

/**
 * The last middleware: gives the handler of a mutation a unit of work. Its first transaction, the record of it and the
 * answer under its Idempotency-Key are one; a dry run is checked only.
 */
export function safely<D extends SafeDeps>(record: Recorder<D>): Middleware<D> {
  return {
    before: async ({ event }) => {
      const { match, call } = event.trip
      if (!match || !isMutation(call.method)) return
      const dry = isDry(call)
      const key = ['POST', 'PATCH'].includes(call.method) ? header(event, 'idempotency-key') : undefined
      if (key !== undefined) assertKey(key)
      const handle = (last: Call<unknown, D>) => {
        const work = (unit: Unit) => match.route.handle(inUnit(last, unit, dry) as Call<never, D>)
        return dry ? work(unitFor(last.deps, 'dry')) : carriedOut(event, key, work, record)
      }
      event.trip.match = { ...match, route: { ...match.route, handle } }
    },
  }
}

const unitFor = (deps: SafeDeps, mode: Mode, early: () => Change[] = () => []): Unit => unitOf(deps, mode, early)

function inUnit<D extends SafeDeps>(call: Call<unknown, D>, { store, queue }: Unit, dry: boolean): Call<unknown, D> {
  const { deps } = call
  return { ...call, deps: { ...deps, store, queue, unit: { direct: { store: deps.store, queue: deps.queue }, dry } } }
}

async function carriedOut<D extends SafeDeps>(
  event: ApiEvent<D>,
  key: string | undefined,
  work: (unit: Unit) => Promise<Reply>,
  record: Recorder<D>,
): Promise<Reply> {
  const { call } = event.trip
  const asked = { ...call, path: event.path, body: event.body ?? '' }
  const mine = key === undefined ? undefined : await once(call.deps, key, asked)
  const first = await mine?.first()
  if (first) return repeated(event, first)
  // What was read for the first try may be no longer so; the second carries all out at once, and sees each conflict.
  for (const mode of ['gather', 'direct'] as const) {
    const unit = unitFor(call.deps, mode, () => [...record(event, undefined), ...(mine ? [mine.begun()] : [])])
    try {
      return await oneTry(event, unit, work, mine, record)
    } catch (error) {
      if (unit.failure instanceof Taken) {
        const winner = await mine?.first()
        if (winner) return repeated(event, winner)
      }
      if (!(unit.failure instanceof Outdated)) throw error
    }
  }
  throw new Error('a direct unit of work was outdated')
}

/** A repeat changes nothing, and leaves no record. */
function repeated<D>({ trip }: ApiEvent<D>, first: Outcome): Reply {
  trip.audited = true
  return replayed(first)
}

/** Has the work done, and its records written with it. Throws what it throws. */
async function oneTry<D extends SafeDeps>(
  event: ApiEvent<D>,
  unit: Unit,
  work: (unit: Unit) => Promise<Reply>,
  mine: OnceRecord | undefined,
  record: Recorder<D>,
): Promise<Reply> {
  const { call } = event.trip
  let thrown: { error: unknown } | undefined
  let reply: Reply | undefined
  try {
    reply = await work(unit)
  } catch (error) {
    if (unit.failure) throw unit.failure
    thrown = { error }
    // It broke: what was not carried out yet shall not be.
    if (faultOf(error, '').status >= 500) unit.drop()
  }
  const outcome: Outcome = reply ? { reply } : { fault: faultOf(thrown?.error, call.requestId) }
  const early = unit.committed
  const told = record(event, outcome)
  // A failure of ours that changed nothing is not the answer for a day: the same request may be made again.
  const kept = mine && (early || reply || ('fault' in outcome && outcome.fault.status < 500))
  try {
    await unit.finish([...told, ...(kept ? [await mine.ended(outcome, early)] : [])])
    event.trip.audited = true
  } catch (error) {
    // What was done is done, what was refused is refused, and so is its answer.
    if (unit.failure || !(early || thrown)) throw error
    call.log.error({ error: reason(error) }, 'records of a request not written')
  }
  if (reply) return reply
  throw thrown?.error
}

function faultOf(error: unknown, requestId: string): { status: number; message: string } {
  if (error instanceof Fault) return { status: error.status, message: error.message }
  return { status: 500, message: `An unexpected error happened: ${requestId}.` }
}

/** An early middleware: the header of dry runs, and the record of what was refused before its handler. */
export function watched<D extends SafeDeps>(record: Recorder<D>): Middleware<D> {
  const header = ({ event, response }: { event: ApiEvent<D>; response?: { headers?: object } | null }) => {
    if (!response || !event.trip || !dryWish(event)) return
    Object.assign(response, { headers: { ...response.headers, 'X-Dry-Run': 'true' } })
  }
  return {
    after: request => header(request as Parameters<typeof header>[0]),
    onError: async request => {
      header(request as Parameters<typeof header>[0])
      await refused(request.event, request.response?.statusCode ?? 500, record)
    },
  }
}

const dryWish = <D>({ trip: { call } }: ApiEvent<D>) => isMutation(call.method) && call.query['dry_run'] === 'true'

async function refused<D extends SafeDeps>(event: ApiEvent<D>, status: number, record: Recorder<D>): Promise<void> {
  const { trip } = event
  if (!trip || trip.audited || !isMutation(trip.call.method) || dryWish(event)) return
  const { store } = trip.call.deps
  const changes = record(event, { fault: { status, message: '' } })
  try {
    if (changes.length > 0) await store.transact(changes)
  } catch (error) {
    trip.call.log.error({ error: reason(error) }, 'audit record not written')
  }
}
