import type { Store } from '../../platform/store/store.ts'
import type { Clock, Log, Random } from '../clock.ts'
import { Gone, Permanent, reason } from '../errors.ts'
import { retrying, type Stored } from '../records.ts'
import type { Vault } from '../vault.ts'
import { Held, LostLease } from './held.ts'
import {
  deadlineOf,
  isOver,
  type Outcome,
  ownerOf,
  type Running,
  type Saga,
  type SagaRecord,
  type Step,
  sagas,
} from './saga.ts'

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
  /** Told of every wait that begins, and how long it is, where `periodic` looks too seldom to end it in time. */
  later?: ((record: SagaRecord, ms: number) => Promise<void>) | undefined
  /** Told after a saga has ended, to ring whoever waits for it. */
  ended?(record: SagaRecord): Promise<void>
  /** Called when a saga has turned round, before anything is undone; may be called again until then. What it throws is tried again. */
  turned?(record: SagaRecord): Promise<void>
}

const MOST_TRIES = 10
/** How long the record of an ended saga is kept. */
const KEPT_MS = 7 * 86_400_000

/** Takes stored sagas forward, or back, one invocation at a time. Safe to call any number of times, concurrently. */
export class SagaRunner<D> {
  readonly #options: RunnerOptions<D>
  constructor(options: RunnerOptions<D>) {
    this.#options = options
  }

  /**
   * Runs on until the saga has ended, waits for something, or `stopAt` (by the clock) has passed. Throws what is no step's
   * failure, such as a request that cannot be read: the message is to come again. `last`: it will not, so that the saga
   * turns round, although that is thrown all the same.
   */
  async run(project: string, id: string, stopAt: number, last = false): Promise<void> {
    const item = await this.#take(project, id)
    if (!item) return
    const held = new Held(item, this.#options)
    let unreadable: Error | undefined
    try {
      if (last) unreadable = await this.#turned(held)
      await this.#advanceAll(held, stopAt)
    } catch (error) {
      if (error instanceof LostLease) return
      const parked = held.record.tries > MOST_TRIES
      // If even that fails, the lease ends by time.
      await held.drop(reason(error), parked).catch(() => undefined)
      throw error
    }
    if (unreadable) throw unreadable
  }

  async #advanceAll(held: Held, stopAt: number): Promise<void> {
    while ((await this.#advance(held)) === 'on') {
      if (this.#options.clock.now() < stopAt) continue
      await held.release(this.#options.clock.now())
      return
    }
  }

  /** Turns a saga round whose request cannot be read; answers why. */
  async #turned(held: Held): Promise<Error | undefined> {
    const { record } = held
    const saga = this.#saga(record)
    if (record.status !== 'RUNNING' || saga.forwardOnly) return undefined
    try {
      await this.#running(saga, held)
      return undefined
    } catch (error) {
      const why = `its request cannot be read: ${reason(error)}`
      await held.write({ ...fresh(this.#options.clock), ...turning(saga, record), error: why })
      return new Error(why)
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
        ...turning(saga, record),
        error: record.preempted,
      })
      return 'on'
    }
    const run = await this.#running(saga, held)
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
    const late = clock.now() > record.entered + deadlineOf(step)
    try {
      // What only runs forward is parked then, and still tried.
      if (late && !saga.forwardOnly) {
        throw new Permanent(record.error ?? `${saga.name} did not get past its step '${nameOf(saga, record)}' in time`)
      }
      if (record.tries > MOST_TRIES && !saga.forwardOnly) throw new Permanent(record.error ?? 'too many tries')
      if (!(await isDone(step, run, record.naps > 0))) return await held.nap(late)
    } catch (error) {
      const turn = error instanceof Permanent && !saga.forwardOnly
      run.log.warn({ step: nameOf(saga, record), tries: record.tries, error: reason(error), turn }, 'saga step failed')
      if (!turn) return await held.backOff(reason(error), saga.forwardOnly && record.tries > MOST_TRIES)
      await held.write({ ...fresh(clock), ...turning(saga, record), error: reason(error) })
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
      if (record.turning) {
        await this.#options.turned?.(record)
        // From here on, what undoes may ask for something itself.
        await held.write({}, ['turning'])
      }
      if (step && !(await isUndone(step, run))) {
        const ms = this.#options.clock.now() - record.entered
        // What must come is waited for on and on; whoever it keeps waiting sees that, and goes on.
        if (ms < (step.undoDeadlineMs ?? Infinity)) return await held.nap(ms > deadlineOf(step))
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

  async #settle(
    held: Held,
    saga: Saga<unknown, D>,
    run: Running<unknown, D>,
    outcome: Outcome,
  ): Promise<'on' | 'over'> {
    const { vault, clock, ended } = this.#options
    const status = outcome === 'done' ? 'DONE' : outcome === 'failed' ? 'FAILED' : 'CANCELLED'
    const request = await vault.erase(saga.schema, held.record.request)
    const now = clock.now()
    const over = await held.end(
      { status, request, finished: now },
      now + KEPT_MS,
      async () => (await saga.settled?.(run, outcome)) ?? [],
      outcome === 'done' && !saga.forwardOnly,
    )
    if (!over) return 'on'
    run.log.info({ outcome, error: held.record.error, ms: now - held.record.started }, 'saga ended')
    await ended?.(held.record)
    return 'over'
  }

  async #running(saga: Saga<unknown, D>, held: Held): Promise<Running<unknown, D>> {
    const { record } = held
    const { id, project, instance, requestId, started, error, failedStep } = record
    const { vault, deps, log } = this.#options
    // What undoes needs no secrets.
    const request =
      record.status === 'RUNNING'
        ? await held.unlocked(request => vault.unlock(saga.schema, request, ownerOf(project, id)))
        : await vault.erase(saga.schema, record.request)
    return {
      id,
      project,
      instance,
      requestId,
      deps,
      started,
      request,
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

/** Takes back what was done, and looks whether that is so: always, where nothing is left of what it was done to. */
async function isUndone<D>(step: Step<unknown, D>, run: Running<unknown, D>): Promise<boolean> {
  try {
    await step.undo?.(run)
    return step.undone ? await step.undone(run) : true
  } catch (error) {
    if (error instanceof Gone) return true
    throw error
  }
}

const fresh = (clock: Clock) => ({ tries: 0, naps: 0, entered: clock.now() })

function nameOf(saga: Saga<unknown, never>, record: SagaRecord): string {
  return saga.steps[record.step]?.name ?? String(record.step)
}

const turning = (saga: Saga<unknown, never>, record: SagaRecord) => ({
  status: 'UNDOING' as const,
  failedStep: nameOf(saga, record),
  turning: true,
})
