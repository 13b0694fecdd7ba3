import type { Store } from '../../ports/store.ts'
import type { Clock, Log, Random } from '../clock.ts'
import type { Vault } from '../crypto/vault.ts'
import { messageOf, SubjectGone, TerminalError } from '../errors.ts'
import { type Stored, withOptimisticRetry } from '../records.ts'
import { LeasedSaga, type LeaseOptions, LostLease, type Next } from './lease.ts'
import {
  hasEnded,
  type Saga,
  type SagaOutcome,
  type SagaRecord,
  type SagaRun,
  type Step,
  sagas,
  secretOwner,
  stepDeadlineMs,
} from './saga.ts'

/** What a runner works with. `D` is the type of the dependencies that steps get. */
export interface RunnerOptions<D> extends LeaseOptions {
  store: Store
  vault: Vault
  clock: Clock
  random: Random
  log: Log
  /** Passed to each step as `deps`. */
  context: D
  /** The definitions, by name. */
  sagas: Record<string, Saga<unknown, D>>
  /** Identifies this start of the process. A lease of a process that is no longer alive is taken over at once. */
  processId: string
  isProcessAlive(boot: string): boolean
  /** Milliseconds a lease lasts: longer than one call of `run` can take. */
  leaseMs: number
  /** Called after a saga has ended, to wake whoever waits for it. */
  onEnd?(record: SagaRecord): Promise<void>
  /** Called when the undo of a saga has started, before anything is undone. Called again until it succeeds. */
  onUndo?(record: SagaRecord): Promise<void>
}

const MAX_TRIES = 10
/** How long the record of an ended saga is kept. */
const RETENTION_MS = 7 * 86_400_000

/**
 * Runs stored sagas, forward or backward. Any number of runners may call `run` for the same saga at the same time: one
 * gets the lease, the others return.
 *
 * @example
 * const definitions = { resize_volume: resizeVolume }
 * const runner = new SagaRunner({ ...platform, context: platform, sagas: definitions, leaseMs: 90_000 })
 * await runner.run(project, operationId, clock.now() + 60_000)
 */
export class SagaRunner<D> {
  readonly #options: RunnerOptions<D>
  constructor(options: RunnerOptions<D>) {
    this.#options = options
  }

  /**
   * Runs the saga until it has ended, has to wait, or `stopAt` (milliseconds since the epoch) has passed.
   * Throws for errors that are no step's, such as a request that cannot be decrypted: the message is to be redelivered.
   * `lastDelivery` says that it will not be: then such a request also starts the undo.
   */
  async run(project: string, id: string, stopAt: number, lastDelivery = false): Promise<void> {
    const item = await this.#acquireLease(project, id)
    if (!item) return
    const leased = new LeasedSaga(item, this.#options)
    let unreadable: Error | undefined
    try {
      if (lastDelivery) unreadable = await this.#undoUnreadable(leased)
      await this.#advanceUntil(leased, stopAt)
    } catch (error) {
      if (error instanceof LostLease) return
      const parked = leased.record.tries > MAX_TRIES
      // If this fails too, the lease expires.
      await leased.abandon(messageOf(error), parked).catch(() => undefined)
      throw error
    }
    if (unreadable) throw unreadable
  }

  async #advanceUntil(leased: LeasedSaga, stopAt: number): Promise<void> {
    while ((await this.#advance(leased)) === 'continue') {
      if (this.#options.clock.now() < stopAt) continue
      await leased.release(this.#options.clock.now())
      return
    }
  }

  /** If the request cannot be decrypted, starts the undo and returns the error. */
  async #undoUnreadable(leased: LeasedSaga): Promise<Error | undefined> {
    const { record } = leased
    const saga = this.#sagaNamed(record)
    if (record.status !== 'RUNNING' || saga.forwardOnly) return undefined
    try {
      await this.#openRun(saga, leased)
      return undefined
    } catch (error) {
      const reason = `its request cannot be read: ${messageOf(error)}`
      await this.#startUndo(leased, saga, reason)
      return new Error(reason)
    }
  }

  /**
   * Takes the lease. Undefined if the saga has ended, or if another runner holds the lease; the saga is then marked as
   * signalled, so that the other runner does not miss the event.
   */
  async #acquireLease(project: string, id: string): Promise<Stored<SagaRecord> | undefined> {
    const { store, clock, random, processId, isProcessAlive, leaseMs } = this.#options
    return withOptimisticRetry(store, async () => {
      const item = await sagas.get(store, project, id)
      if (!item || hasEnded(item.body)) return { changes: [], result: undefined }
      const { lease } = item.body
      const now = clock.now()
      if (lease && lease.until > now && isProcessAlive(lease.boot)) {
        const changes = item.body.signalled ? [] : [sagas.replace(item, { ...item.body, signalled: true })]
        return { changes, result: undefined }
      }
      const until = now + leaseMs
      const { signalled: _, ...body } = {
        ...item.body,
        lease: { id: random.uuid(), boot: processId, until },
        tries: item.body.tries + 1,
      }
      const changes = [sagas.replace(item, body, { due: until })]
      return { changes, result: { ...item, body, due: until, version: item.version + 1 } }
    })
  }

  async #advance(leased: LeasedSaga): Promise<Next> {
    const record = leased.record
    const saga = this.#sagaNamed(record)
    if (record.status === 'RUNNING' && record.abortReason && !saga.forwardOnly) {
      return this.#startUndo(leased, saga, record.abortReason)
    }
    const run = await this.#openRun(saga, leased)
    const step = saga.steps[record.step]
    if (record.status === 'RUNNING') {
      return step ? this.#doStep(leased, saga, step, run) : this.#end(leased, saga, run, 'done')
    }
    if (record.step >= 0) return this.#undoStep(leased, step, run)
    return this.#end(leased, saga, run, record.abortReason ? 'aborted' : 'failed')
  }

  async #doStep(
    leased: LeasedSaga,
    saga: Saga<unknown, D>,
    step: Step<unknown, D>,
    run: SagaRun<unknown, D>,
  ): Promise<Next> {
    const { clock } = this.#options
    const record = leased.record
    const deadlinePassed = clock.now() > record.stepEntered + stepDeadlineMs(step)
    try {
      if (!saga.forwardOnly) assertWithinLimits(saga, record, deadlinePassed)
      if (!(await tryStep(step, run, record.waits > 0))) return await leased.sleep(deadlinePassed)
    } catch (error) {
      const reason = messageOf(error)
      const undo = error instanceof TerminalError && !saga.forwardOnly
      run.log.warn({ step: stepName(saga, record), tries: record.tries, error: reason, undo }, 'saga step failed')
      if (undo) return this.#startUndo(leased, saga, reason)
      return await leased.backOff(reason, saga.forwardOnly && record.tries > MAX_TRIES)
    }
    await leased.write({ ...enterStep(clock), step: record.step + 1 }, ['error', 'parked'])
    return 'continue'
  }

  async #startUndo(leased: LeasedSaga, saga: Saga<unknown, D>, reason: string): Promise<Next> {
    await leased.write({
      ...enterStep(this.#options.clock),
      status: 'UNDOING',
      failedStep: stepName(saga, leased.record),
      undoUnannounced: true,
      error: reason,
    })
    return 'continue'
  }

  async #undoStep(
    leased: LeasedSaga,
    step: Saga<unknown, D>['steps'][number] | undefined,
    run: SagaRun<unknown, D>,
  ): Promise<Next> {
    const record = leased.record
    try {
      if (record.undoUnannounced) {
        await this.#options.onUndo?.(record)
        // Only afterwards, since `onUndo` may cancel what an undo is about to request.
        await leased.write({}, ['undoUnannounced'])
      }
      if (step && !(await tryUndo(step, run))) {
        const elapsedMs = this.#options.clock.now() - record.stepEntered
        // Without `undoDeadlineMs` we wait for ever; the operation shows as PARKED and a delete passes it.
        if (elapsedMs < (step.undoDeadlineMs ?? Infinity)) return await leased.sleep(elapsedMs > stepDeadlineMs(step))
        run.log.error({ step: step.name }, 'saga undo given up')
      }
    } catch (error) {
      const parked = record.tries > MAX_TRIES
      run.log[parked ? 'error' : 'warn']({ step: record.step, error: messageOf(error), parked }, 'saga undo failed')
      return await leased.backOff(undefined, parked)
    }
    await leased.write({ ...enterStep(this.#options.clock), step: record.step - 1 }, ['parked'])
    return 'continue'
  }

  async #end(
    leased: LeasedSaga,
    saga: Saga<unknown, D>,
    run: SagaRun<unknown, D>,
    outcome: SagaOutcome,
  ): Promise<Next> {
    const { vault, clock, onEnd } = this.#options
    const status = outcome === 'done' ? 'DONE' : outcome === 'failed' ? 'FAILED' : 'CANCELLED'
    const request = await vault.erase(saga.schema, leased.record.request)
    const now = clock.now()
    const ended = await leased.end(
      { status, request, finished: now },
      now + RETENTION_MS,
      async () => (await saga.onEnd?.(run, outcome)) ?? [],
      outcome === 'done' && !saga.forwardOnly,
    )
    if (!ended) return 'continue'
    run.log.info({ outcome, error: leased.record.error, ms: now - leased.record.started }, 'saga ended')
    await onEnd?.(leased.record)
    return 'stop'
  }

  async #openRun(saga: Saga<unknown, D>, leased: LeasedSaga): Promise<SagaRun<unknown, D>> {
    const { record } = leased
    const { id, project, subject, alsoHolds, requestId, started, error, failedStep } = record
    const { vault, context, log } = this.#options
    // An undo needs no secrets, so it works even when they cannot be decrypted.
    const request =
      record.status === 'RUNNING'
        ? await leased.unlockRequest(request => vault.unlock(saga.schema, request, secretOwner(project, id)))
        : await vault.erase(saga.schema, record.request)
    return {
      id,
      project,
      subject,
      ...(alsoHolds && { alsoHolds }),
      requestId,
      deps: context,
      started,
      request,
      log: log.child({ saga: saga.name, operation: id, [subject.kind]: subject.id, requestId }),
      ...(error !== undefined && { error }),
      ...(failedStep !== undefined && { failedStep }),
    }
  }

  #sagaNamed(record: SagaRecord): Saga<unknown, D> {
    const definition = this.#options.sagas[record.name]
    if (!definition) throw new Error(`no saga ${record.name}`)
    return definition
  }
}

/**
 * Runs the step and returns whether it is done. After a wait it checks first, and runs the step again only if it must.
 */
async function tryStep<D>(step: Step<unknown, D>, run: SagaRun<unknown, D>, hasWaited: boolean): Promise<boolean> {
  if (hasWaited && step.isDone && (await step.isDone(run))) return true
  await step.do?.(run)
  return step.isDone ? step.isDone(run) : true
}

/** Throws TerminalError when the step is past its deadline or has failed too often. */
function assertWithinLimits(saga: Saga<unknown, never>, record: SagaRecord, deadlinePassed: boolean): void {
  if (deadlinePassed) {
    throw new TerminalError(record.error ?? `${saga.name}: step '${stepName(saga, record)}' did not finish in time`)
  }
  if (record.tries > MAX_TRIES) throw new TerminalError(record.error ?? 'the step failed too often')
}

/** Undoes the step and returns whether it is undone. If the instance is already gone, the undo counts as done. */
async function tryUndo<D>(step: Step<unknown, D>, run: SagaRun<unknown, D>): Promise<boolean> {
  try {
    await step.undo?.(run)
    return step.isUndone ? await step.isUndone(run) : true
  } catch (error) {
    if (error instanceof SubjectGone) return true
    throw error
  }
}

/** The counters and the clock of a step that is entered now. */
const enterStep = (clock: Clock) => ({ tries: 0, waits: 0, stepEntered: clock.now() })

function stepName(saga: Saga<unknown, never>, record: SagaRecord): string {
  return saga.steps[record.step]?.name ?? String(record.step)
}
