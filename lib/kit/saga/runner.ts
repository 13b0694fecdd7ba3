import type { Change, Store } from '../../platform/store/store.ts'
import { Conflict } from '../../platform/store/store.ts'
import type { Clock, Log, Random } from '../clock.ts'
import { Permanent, reason } from '../errors.ts'
import { retrying, type Stored } from '../records.ts'
import type { Vault } from '../vault.ts'
import { isOver, type Outcome, ownerOf, type Running, type Saga, type SagaRecord, type Step, sagas } from './saga.ts'

export interface RunnerOptions<D> {
  store: Store
  vault: Vault
  clock: Clock
  random: Random
  log: Log
  deps: D
  sagas: Record<string, Saga<unknown, D>>
  /** Names this start of the process; a lease of another boot that `isLive` denies is taken over at once. */
  boot: string
  isLive(boot: string): boolean
  /** Milliseconds a lease lasts: the function's timeout and 30 s. */
  leaseMs: number
  /** Told after a saga has ended, to ring whoever waits for it. */
  ended?(record: SagaRecord): Promise<void>
}

/** Clean waits and failed tries of one step before it is looked at again: doubling, in milliseconds. */
const NAP = { first: 1_000, most: 15_000 }
const BACK_OFF = { first: 250, most: 60_000 }
const PARKED_MS = 5 * 60_000
const MOST_TRIES = 10
const DEFAULT_DEADLINE_MS = 10 * 60_000
/** How long the record of an ended saga is kept. */
const KEPT_MS = 7 * 86_400_000

/** Another runner holds the saga now. */
class LostLease extends Error {}

/** Takes stored sagas forward, or back, one invocation at a time. Safe to call any number of times, concurrently. */
export class SagaRunner<D> {
  readonly #options: RunnerOptions<D>
  constructor(options: RunnerOptions<D>) {
    this.#options = options
  }

  /** Runs on until the saga has ended, waits for something, or `stopAt` (by the clock) has passed. */
  async run(project: string, id: string, stopAt: number): Promise<void> {
    const item = await this.#take(project, id)
    if (!item) return
    const held = new Held(item, this.#options)
    try {
      while ((await this.#advance(held)) === 'on') {
        if (this.#options.clock.now() < stopAt) continue
        await held.release(this.#options.clock.now())
        return
      }
    } catch (error) {
      if (!(error instanceof LostLease)) throw error
    }
  }

  /** The saga with our lease on it; undefined if it is over, or another's (who is then told that the bell rang). */
  async #take(project: string, id: string): Promise<Stored<SagaRecord> | undefined> {
    const { store, clock, random, boot, isLive, leaseMs } = this.#options
    return retrying(store, async () => {
      const item = await sagas.get(store, project, id)
      if (!item || isOver(item.body)) return { changes: [], result: undefined }
      const { lease } = item.body
      const now = clock.now()
      if (lease && lease.until > now && isLive(lease.boot)) {
        const changes = item.body.rung ? [] : [sagas.replace(item, { ...item.body, rung: true })]
        return { changes, result: undefined }
      }
      const until = now + leaseMs
      const { rung: _, ...body } = {
        ...item.body,
        lease: { id: random.uuid(), boot, until },
        tries: item.body.tries + 1,
      }
      const changes = [sagas.replace(item, body, { due: until })]
      return { changes, result: { ...item, body, due: until, version: item.version + 1 } }
    })
  }

  async #advance(held: Held): Promise<'on' | 'over'> {
    const record = held.record
    const saga = this.#saga(record)
    if (record.status === 'RUNNING' && record.preempted && !saga.forwardOnly) {
      await held.write({
        ...fresh(this.#options.clock),
        status: 'UNDOING',
        error: record.preempted,
        failedStep: nameOf(saga, record),
      })
      return 'on'
    }
    const run = await this.#running(saga, record)
    const step = saga.steps[record.step]
    if (record.status === 'RUNNING') {
      return step ? this.#forward(held, saga, step, run) : this.#settle(held, saga, run, 'done')
    }
    if (record.step >= 0) return this.#back(held, step, run)
    return this.#settle(held, saga, run, record.preempted ? 'preempted' : 'failed')
  }

  async #forward(
    held: Held,
    saga: Saga<unknown, D>,
    step: Step<unknown, D>,
    run: Running<unknown, D>,
  ): Promise<'on' | 'over'> {
    const { clock } = this.#options
    const record = held.record
    try {
      if (clock.now() > record.entered + (step.deadlineMs ?? DEFAULT_DEADLINE_MS)) {
        throw new Permanent(record.error ?? `${saga.name} did not get past its step '${nameOf(saga, record)}' in time`)
      }
      if (record.tries > MOST_TRIES) throw new Permanent(record.error ?? 'too many tries')
      if (!(await isDone(step, run, record.naps > 0))) return await held.nap()
    } catch (error) {
      const turn = error instanceof Permanent && !saga.forwardOnly
      run.log.warn({ step: nameOf(saga, record), tries: record.tries, error: reason(error), turn }, 'saga step failed')
      if (!turn) return await held.backOff(reason(error), saga.forwardOnly && record.tries > MOST_TRIES)
      await held.write({ ...fresh(clock), status: 'UNDOING', error: reason(error), failedStep: nameOf(saga, record) })
      return 'on'
    }
    await held.write({ ...fresh(clock), step: record.step + 1 }, ['error', 'parked'])
    return 'on'
  }

  async #back(
    held: Held,
    step: Saga<unknown, D>['steps'][number] | undefined,
    run: Running<unknown, D>,
  ): Promise<'on' | 'over'> {
    const record = held.record
    try {
      await step?.undo?.(run)
      if (step?.undone && !(await step.undone(run))) {
        if (this.#options.clock.now() < record.entered + (step.undoDeadlineMs ?? Infinity)) return await held.nap()
        run.log.error({ step: step.name }, 'saga undo given up')
      }
    } catch (error) {
      const parked = record.tries > MOST_TRIES
      run.log[parked ? 'error' : 'warn']({ step: record.step, error: reason(error), parked }, 'saga undo failed')
      return await held.backOff(undefined, parked)
    }
    await held.write({ ...fresh(this.#options.clock), step: record.step - 1 }, ['parked'])
    return 'on'
  }

  async #settle(held: Held, saga: Saga<unknown, D>, run: Running<unknown, D>, outcome: Outcome): Promise<'over'> {
    const { vault, clock, ended } = this.#options
    const status = outcome === 'done' ? 'DONE' : outcome === 'failed' ? 'FAILED' : 'CANCELLED'
    const request = await vault.erase(saga.schema, held.record.request)
    const now = clock.now()
    await held.end(
      { status, request, finished: now },
      now + KEPT_MS,
      async () => (await saga.settled?.(run, outcome)) ?? [],
    )
    run.log.info({ outcome, error: held.record.error, ms: now - held.record.started }, 'saga ended')
    await ended?.(held.record)
    return 'over'
  }

  async #running(saga: Saga<unknown, D>, record: SagaRecord): Promise<Running<unknown, D>> {
    const { id, project, instance, requestId, error, failedStep } = record
    const { vault, deps, log } = this.#options
    return {
      id,
      project,
      instance,
      requestId,
      deps,
      request: await vault.unlock(saga.schema, record.request, ownerOf(project, id)),
      log: log.child({ saga: saga.name, operation: id, instance, requestId }),
      ...(error !== undefined && { error }),
      ...(failedStep !== undefined && { failedStep }),
    }
  }

  #saga(record: SagaRecord): Saga<unknown, D> {
    const found = this.#options.sagas[record.name]
    if (!found) throw new Error(`no saga ${record.name}`)
    return found
  }
}

/** First time: do, then look. Later: look, and do again only if it is still not so. */
async function isDone<D>(step: Step<unknown, D>, run: Running<unknown, D>, again: boolean): Promise<boolean> {
  if (again && step.until && (await step.until(run))) return true
  await step.do?.(run)
  return step.until ? step.until(run) : true
}

const fresh = (clock: Clock) => ({ tries: 0, naps: 0, entered: clock.now() })

function nameOf(saga: Saga<unknown, never>, record: SagaRecord): string {
  return saga.steps[record.step]?.name ?? String(record.step)
}

type Patch = Partial<SagaRecord>

/** A saga under our lease: every write is conditional on it. */
class Held {
  #item: Stored<SagaRecord>
  readonly #store: Store
  readonly #clock: Clock
  constructor(item: Stored<SagaRecord>, { store, clock }: { store: Store; clock: Clock }) {
    this.#item = item
    this.#store = store
    this.#clock = clock
  }

  get record(): SagaRecord {
    return this.#item.body
  }

  /** Writes progress; what others wrote meanwhile (bell, preemption) is kept. Throws LostLease. */
  async write(patch: Patch, without: (keyof SagaRecord)[] = []): Promise<void> {
    for (;;) {
      const body = omit({ ...this.record, ...patch }, without)
      try {
        await this.#store.transact([sagas.replace(this.#item, body)])
        this.#item = { ...this.#item, body, version: this.#item.version + 1 }
        return
      } catch (error) {
        if (!(error instanceof Conflict)) throw error
        await this.#reread()
      }
    }
  }

  /** A clean wait; ends at once if the bell rang since the lease was taken. */
  nap(): Promise<'on' | 'over'> {
    const ms = Math.min(NAP.most, NAP.first * 2 ** Math.min(this.record.naps, 10))
    return this.release(this.#clock.now() + ms, { tries: 0, naps: this.record.naps + 1 })
  }

  backOff(error: string | undefined, parked = false): Promise<'on' | 'over'> {
    const ms = parked ? PARKED_MS : Math.min(BACK_OFF.most, BACK_OFF.first * 2 ** Math.min(this.record.tries - 1, 20))
    return this.release(this.#clock.now() + ms, { ...(error !== undefined && { error }), ...(parked && { parked }) })
  }

  /** Gives the lease back, to be rung at `due`. 'on' = do not wait: the bell rang or the saga was preempted meanwhile. */
  async release(due: number, patch: Patch = {}): Promise<'on' | 'over'> {
    const { preempted } = this.record
    for (;;) {
      if (this.record.rung || this.record.preempted !== preempted) {
        await this.write(patch, ['rung'])
        return 'on'
      }
      try {
        await this.#store.transact([sagas.replace(this.#item, omit({ ...this.record, ...patch }, ['lease']), { due })])
        return 'over'
      } catch (error) {
        if (!(error instanceof Conflict)) throw error
        await this.#reread()
      }
    }
  }

  /** The last write, together with the changes it goes with. */
  async end(patch: Patch, expires: number, changes: () => Promise<Change[]>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const body = omit({ ...this.record, ...patch }, ['lease', 'rung', 'parked'])
      const last = sagas.replace(this.#item, body, { due: undefined, expires })
      try {
        await this.#store.transact([last, ...(await changes())])
        this.#item = { ...this.#item, body }
        return
      } catch (error) {
        if (!(error instanceof Conflict) || attempt > 50) throw error
        if (error.index === 0) await this.#reread()
      }
    }
  }

  async #reread(): Promise<void> {
    const { project, id, lease } = this.record
    const now = await sagas.get(this.#store, project, id)
    if (!now || now.body.lease?.id !== lease?.id) throw new LostLease()
    const { rung, preempted } = now.body
    const mine = omit(this.record, ['rung', 'preempted'])
    this.#item = { ...now, body: { ...mine, ...(rung && { rung }), ...(preempted && { preempted }) } }
  }
}

function omit(record: SagaRecord, names: (keyof SagaRecord)[]): SagaRecord {
  const copy = { ...record }
  for (const name of names) delete copy[name]
  return copy
}
