import type { Queue } from '../../ports/queue.ts'
import { type Change, Conflict } from '../../ports/store.ts'
import { badRequest, Fault, faultOf, messageOf, storeFull } from '../errors.ts'
import { decideUntilFresh, MAX_ATTEMPTS, sendMessages, tryCommit } from '../transaction.ts'
import {
  assertKey,
  type HandlerOutcome,
  type IdempotencyDeps,
  type OpenRecord,
  openRecord,
  replayOutcome,
} from './idempotency.ts'
import { type ApiEvent, header, type Middleware, type PipelineDeps } from './pipeline.ts'
import type { Call, Mutation, Reply } from './route.ts'

/** What the middlewares of mutations need from their dependencies. */
export interface MutationDeps extends IdempotencyDeps, PipelineDeps {
  queue: Queue
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

/** Throws Fault 507 while the store's disk is almost full, unless it is a delete: that is what frees space. */
function assertSpace<D extends MutationDeps>({ method, deps }: Call<unknown, D>): void {
  if (method !== 'DELETE' && deps.store.space?.().isShort) throw storeFull()
}

/**
 * The last middleware: runs the handler of a mutation, and commits the changes that it returns in one transaction with its
 * audit record and its idempotency record. A dry run is only checked.
 */
export function mutations<D extends MutationDeps>(record: AuditRecorder<D>): Middleware<D> {
  return {
    before: async ({ event }) => {
      const { match, call } = event.state
      if (!match || !isMutation(call.method)) return
      assertSpace(call)
      const dry = isDryRun(call)
      const key = ['POST', 'PATCH'].includes(call.method) ? header(event, 'idempotency-key') : undefined
      if (key !== undefined) assertKey(key)
      const { route } = match
      const handle = (last: Call<unknown, D>) => {
        const decide = async () => (await route.handle(last as Call<never, D>)) as Mutation
        return dry ? check(last.deps, decide) : new Execution(event, decide, record).run(key)
      }
      event.state.match = { ...match, route: { ...route, handle } }
    },
  }
}

/** The reply that the mutation would get. Throws what it would be refused with. */
async function check({ store }: MutationDeps, decide: () => Promise<Mutation>): Promise<Reply> {
  return (await decideUntilFresh(decide, changes => store.check(changes))).reply
}

/** One mutation on its way from its handler to its reply. */
class Execution<D extends MutationDeps> {
  readonly #event: ApiEvent<D>
  readonly #decide: () => Promise<Mutation>
  readonly #record: AuditRecorder<D>
  #idempotency: OpenRecord | undefined

  constructor(event: ApiEvent<D>, decide: () => Promise<Mutation>, record: AuditRecorder<D>) {
    this.#event = event
    this.#decide = decide
    this.#record = record
  }

  async run(key: string | undefined): Promise<Reply> {
    const { call } = this.#event.state
    if (key !== undefined) {
      const identity = { ...call, path: this.#event.path, body: this.#event.body ?? '' }
      this.#idempotency = await openRecord(call.deps, key, identity)
    }
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const previous = await this.#idempotency?.previous()
      if (previous) return this.#replay(previous)
      let mutation: Mutation
      try {
        mutation = await this.#decide()
        if (!(await this.#commit(mutation))) continue
      } catch (error) {
        // If another request with this key came first, its reply is this one's too.
        if (await this.#recordFault(error)) throw error
        continue
      }
      return mutation.afterCommit ? this.#finish(mutation.afterCommit) : mutation.reply
    }
    throw new Conflict(0, 'version')
  }

  /** A repetition changes nothing, and needs no audit record. */
  #replay(previous: HandlerOutcome): Reply {
    this.#event.state.audited = true
    return replayOutcome(previous)
  }

  /** Whether the mutation is committed; if not, it has to be decided anew. */
  async #commit(mutation: Mutation): Promise<boolean> {
    const { deps, log } = this.#event.state.call
    // What the mutation waits for may still fail, so its outcome is recorded when it has ended.
    const outcome = mutation.afterCommit ? undefined : { reply: mutation.reply }
    const records = [...this.#record(this.#event, outcome), ...(await this.#idempotencyChanges(outcome, false))]
    const result = await tryCommit(mutation, records, changes => deps.store.transact(changes))
    if (result !== 'committed') return false
    this.#event.state.audited = true
    await sendMessages(deps.queue, mutation.messages, log)
    return true
  }

  /** The change that reserves the key, or stores the outcome. `reserved`: the former is committed. */
  async #idempotencyChanges(outcome: HandlerOutcome | undefined, reserved: boolean): Promise<Change[]> {
    if (!this.#idempotency) return []
    return [outcome ? await this.#idempotency.complete(outcome, reserved) : this.#idempotency.reserve()]
  }

  /** Waits for what the committed changes started, and records how that ended. */
  async #finish(afterCommit: () => Promise<Reply>): Promise<Reply> {
    try {
      const reply = await afterCommit()
      await this.#recordOutcome({ reply }, true)
      return reply
    } catch (error) {
      await this.#recordOutcome({ fault: outcomeOf(error, this.#event.state.call.requestId) }, true)
      throw error
    }
  }

  /**
   * Records a request that was refused and changed nothing. False if another request with its key came first. An internal
   * error is not stored for repetitions: the client may send the same request again. While the disk is almost full nothing
   * is recorded: a flood of refusals would take the last space.
   */
  async #recordFault(error: unknown): Promise<boolean> {
    const { requestId, deps } = this.#event.state.call
    const fault = outcomeOf(error, requestId)
    return fault.status >= 500 || deps.store.space?.().isShort || this.#recordOutcome({ fault }, false)
  }

  /** Writes the audit record and the outcome. A failure does not change the answer. False if the key is another's. */
  async #recordOutcome(outcome: HandlerOutcome, reserved: boolean): Promise<boolean> {
    const { deps, log } = this.#event.state.call
    try {
      const audit = this.#record(this.#event, outcome)
      const records = await this.#idempotencyChanges(outcome, reserved)
      const result = await tryCommit({ changes: audit }, records, all => deps.store.transact(all))
      if (result === 'refused' && !reserved) return false
      this.#event.state.audited = true
    } catch (error) {
      log.error({ error: messageOf(error) }, 'failed to write the records of a request')
    }
    return true
  }
}

function outcomeOf(error: unknown, requestId: string): { status: number; message: string } {
  const { status, message } = faultOf(error) ?? new Fault(500, `An unexpected error happened: ${requestId}.`)
  return { status, message }
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
  // A flood of refusals would take the last space.
  if (store.space?.().isShort) return
  const changes = record(event, { fault: { status, message: '' } })
  try {
    if (changes.length > 0) await store.transact(changes)
  } catch (error) {
    state.call.log.error({ error: messageOf(error) }, 'failed to write the audit record')
  }
}
