import type { Queue } from '../../ports/queue.ts'
import type { Change } from '../../ports/store.ts'
import { badRequest, Fault, messageOf } from '../errors.ts'
import {
  assertKey,
  type HandlerOutcome,
  type IdempotencyDeps,
  type OpenRecord,
  openRecord,
  replayOutcome,
} from './idempotency.ts'
import { type ApiEvent, header, type Middleware, type PipelineDeps } from './pipeline.ts'
import type { Call, Reply } from './route.ts'
import { beginUnitOfWork, RecordConflict, StaleRead, type UnitOfWork } from './unit-of-work.ts'

/** What the middlewares of mutations need from their dependencies. */
export interface MutationDeps extends IdempotencyDeps, PipelineDeps {
  queue: Queue
  unit?: { direct: Pick<MutationDeps, 'store' | 'queue'>; dry: boolean }
}

/** The changes that write the audit record of a mutation. `outcome` is undefined while the handler still runs. */
export type AuditRecorder<D> = (event: ApiEvent<D>, outcome: HandlerOutcome | undefined) => Change[]

/** Whether a request with this method may change something. */
const isMutation = (method: string): boolean => !['GET', 'HEAD', 'OPTIONS'].includes(method)

/** Whether the mutation is only to be checked. Throws Fault 400 for a `dry_run` that is neither true nor false. */
function isDryRun({ method, query }: Pick<Call, 'method' | 'query'>): boolean {
  const value = query['dry_run']
  if (value === undefined || !isMutation(method)) return false
  if (value !== 'true' && value !== 'false') throw badRequest('dry_run must be true or false.')
  return value === 'true'
}

/**
 * The last middleware: runs the handler of a mutation in a unit of work. Its changes, its audit record and its
 * idempotency record commit in one transaction. A dry run is only checked.
 */
export function mutations<D extends MutationDeps>(record: AuditRecorder<D>): Middleware<D> {
  return {
    before: async ({ event }) => {
      const { match, call } = event.state
      if (!match || !isMutation(call.method)) return
      const dry = isDryRun(call)
      const key = ['POST', 'PATCH'].includes(call.method) ? header(event, 'idempotency-key') : undefined
      if (key !== undefined) assertKey(key)
      const handle = (last: Call<unknown, D>) => {
        const work = (unit: UnitOfWork) => match.route.handle(inUnit(last, unit, dry) as Call<never, D>)
        return dry ? work(beginUnitOfWork(last.deps, 'dry-run', () => [])) : execute(event, key, work, record)
      }
      event.state.match = { ...match, route: { ...match.route, handle } }
    },
  }
}

function inUnit<D extends MutationDeps>(
  call: Call<unknown, D>,
  { store, queue }: UnitOfWork,
  dry: boolean,
): Call<unknown, D> {
  const { deps } = call
  return { ...call, deps: { ...deps, store, queue, unit: { direct: { store: deps.store, queue: deps.queue }, dry } } }
}

async function execute<D extends MutationDeps>(
  event: ApiEvent<D>,
  key: string | undefined,
  work: (unit: UnitOfWork) => Promise<Reply>,
  record: AuditRecorder<D>,
): Promise<Reply> {
  const { call } = event.state
  const identity = { ...call, path: event.path, body: event.body ?? '' }
  const idempotency = key === undefined ? undefined : await openRecord(call.deps, key, identity)
  const previous = await idempotency?.previous()
  if (previous) return replay(event, previous)
  const earlyRecords = () => [...record(event, undefined), ...(idempotency ? [idempotency.reserve()] : [])]
  // If the first attempt worked on stale reads, the second commits at once and so sees every conflict itself.
  for (const mode of ['buffered', 'immediate'] as const) {
    const unit = beginUnitOfWork(call.deps, mode, earlyRecords)
    try {
      return await attempt(event, unit, work, idempotency, record)
    } catch (error) {
      if (unit.failure instanceof RecordConflict) {
        const winner = await idempotency?.previous()
        if (winner) return replay(event, winner)
      }
      if (!(unit.failure instanceof StaleRead)) throw error
    }
  }
  throw new Error('an immediate unit of work had a stale read')
}

/** A repetition changes nothing, and needs no audit record. */
function replay<D>({ state }: ApiEvent<D>, previous: HandlerOutcome): Reply {
  state.audited = true
  return replayOutcome(previous)
}

/** Runs the handler and commits its changes with the records of the request. Throws what the handler throws. */
async function attempt<D extends MutationDeps>(
  event: ApiEvent<D>,
  unit: UnitOfWork,
  work: (unit: UnitOfWork) => Promise<Reply>,
  idempotency: OpenRecord | undefined,
  record: AuditRecorder<D>,
): Promise<Reply> {
  const { call } = event.state
  let thrown: { error: unknown } | undefined
  let reply: Reply | undefined
  try {
    reply = await work(unit)
  } catch (error) {
    if (unit.failure) throw unit.failure
    thrown = { error }
    // After an internal error nothing more is committed.
    if (faultOf(error, '').status >= 500) unit.discard()
  }
  const outcome: HandlerOutcome = reply ? { reply } : { fault: faultOf(thrown?.error, call.requestId) }
  const committed = unit.committed
  const auditRecord = record(event, outcome)
  // An internal error that changed nothing is not stored: the client may send the same request again.
  const isFinal = committed || reply || ('fault' in outcome && outcome.fault.status < 500)
  try {
    const completion = idempotency && isFinal ? [await idempotency.complete(outcome, committed)] : []
    await unit.finish([...auditRecord, ...completion])
    event.state.audited = true
  } catch (error) {
    // The work is committed (or rejected): a failure to write its records must not change the answer.
    if (unit.failure || !(committed || thrown)) throw error
    call.log.error({ error: messageOf(error) }, 'failed to write the records of a request')
  }
  if (reply) return reply
  throw thrown?.error
}

function faultOf(error: unknown, requestId: string): { status: number; message: string } {
  if (error instanceof Fault) return { status: error.status, message: error.message }
  return { status: 500, message: `An unexpected error happened: ${requestId}.` }
}

/** An early middleware: marks the responses to dry runs, and audits requests that are refused before their handler. */
export function auditRefusals<D extends MutationDeps>(record: AuditRecorder<D>): Middleware<D> {
  const markDryRun = ({ event, response }: { event: ApiEvent<D>; response?: { headers?: object } | null }) => {
    if (!response || !event.state || !isDryRunRequest(event)) return
    Object.assign(response, { headers: { ...response.headers, 'X-Dry-Run': 'true' } })
  }
  return {
    after: request => markDryRun(request as Parameters<typeof markDryRun>[0]),
    onError: async request => {
      markDryRun(request as Parameters<typeof markDryRun>[0])
      await recordRefusal(request.event, request.response?.statusCode ?? 500, record)
    },
  }
}

const isDryRunRequest = <D>({ state: { call } }: ApiEvent<D>) =>
  isMutation(call.method) && call.query['dry_run'] === 'true'

async function recordRefusal<D extends MutationDeps>(
  event: ApiEvent<D>,
  status: number,
  record: AuditRecorder<D>,
): Promise<void> {
  const { state } = event
  if (!state || state.audited || !isMutation(state.call.method) || isDryRunRequest(event)) return
  const { store } = state.call.deps
  const changes = record(event, { fault: { status, message: '' } })
  try {
    if (changes.length > 0) await store.transact(changes)
  } catch (error) {
    state.call.log.error({ error: messageOf(error) }, 'failed to write the audit record')
  }
}
