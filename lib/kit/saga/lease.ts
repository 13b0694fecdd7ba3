import { type Change, Conflict, type Store } from '../../ports/store.ts'
import { backOffMs } from '../async/back-off.ts'
import type { Clock } from '../clock.ts'
import type { Stored } from '../records.ts'
import { type SagaRecord, sagas } from './saga.ts'

/** Between two checks of a step that is not done yet. */
const WAIT = { firstMs: 1_000, maxMs: 15_000 }
/** Between two attempts at a step that fails. */
const RETRY = { firstMs: 250, maxMs: 60_000 }
/** Between two attempts at a parked step. */
const PARKED_MS = 5 * 60_000
/** How often the last write is repeated when it conflicts. */
const MAX_CONFLICTS = 50

/** What the runner does next: continue with the saga, or stop because the lease is released or the saga has ended. */
export type Next = 'continue' | 'stop'

/** Another runner holds the saga now. */
export class LostLease extends Error {}

type Patch = Partial<SagaRecord>

/** What a lease needs of its runner. */
export interface LeaseOptions {
  store: Store
  clock: Clock
  /** Called when a wait of `ms` milliseconds begins, to schedule its end where `periodic` runs too seldom for that. */
  onWait?: ((record: SagaRecord, ms: number) => Promise<void>) | undefined
}

/** A saga while this runner holds its lease. Every write is conditional on the lease. */
export class LeasedSaga {
  #item: Stored<SagaRecord>
  readonly #store: Store
  readonly #clock: Clock
  readonly #onWait: LeaseOptions['onWait']
  #request: { locked: unknown; unlocked: unknown } | undefined
  constructor(item: Stored<SagaRecord>, { store, clock, onWait }: LeaseOptions) {
    this.#item = item
    this.#store = store
    this.#clock = clock
    this.#onWait = onWait
  }

  get record(): SagaRecord {
    return this.#item.body
  }

  /** The request with its secrets decrypted, which `unlock` does once for each lease. */
  async unlockRequest(unlock: (request: unknown) => Promise<unknown>): Promise<unknown> {
    const { request } = this.record
    if (this.#request?.locked !== request) this.#request = { locked: request, unlocked: await unlock(request) }
    return this.#request?.unlocked
  }

  /** Writes progress. Keeps what others wrote meanwhile: `signalled` and `abortReason`. Throws LostLease. */
  async write(patch: Patch, without: (keyof SagaRecord)[] = [], due?: number): Promise<void> {
    for (;;) {
      const body = omit({ ...this.record, ...patch }, without)
      try {
        await this.#store.transact([sagas.replace(this.#item, body, due === undefined ? {} : { due })])
        this.#item = { ...this.#item, body, version: this.#item.version + 1 }
        return
      } catch (error) {
        if (!(error instanceof Conflict)) throw error
        await this.#reload()
      }
    }
  }

  /** Waits before the next check of a step that is not done yet. */
  sleep(parked = false): Promise<Next> {
    const waits = this.record.waits + 1
    return this.release(this.#clock.now() + backOffMs(waits, WAIT), { tries: 0, waits, ...(parked && { parked }) })
  }

  /** Waits before the next attempt at a step that failed. */
  backOff(error: string | undefined, parked = false): Promise<Next> {
    const patch = { ...(error !== undefined && { error }), ...(parked && { parked }) }
    return this.release(this.#clock.now() + this.#retryMs(parked), patch)
  }

  /**
   * Releases the lease after an unexpected error. The message that woke the saga fails and is redelivered; `periodic`
   * is the fallback.
   */
  async abandon(error: string, parked: boolean): Promise<void> {
    const patch = { ...(this.record.status === 'RUNNING' && { error }), ...(parked && { parked }) }
    await this.write(patch, ['lease', 'signalled'], this.#clock.now() + this.#retryMs(parked))
  }

  /** Releases the lease until `due`, unless the saga was signalled or aborted meanwhile: then 'continue'. */
  async release(due: number, patch: Patch = {}): Promise<Next> {
    const { abortReason } = this.record
    for (;;) {
      if (this.record.signalled || this.record.abortReason !== abortReason) {
        await this.write(patch, ['signalled'])
        return 'continue'
      }
      try {
        await this.#store.transact([sagas.replace(this.#item, omit({ ...this.record, ...patch }, ['lease']), { due })])
        await this.#onWait?.(this.record, Math.max(0, due - this.#clock.now()))
        return 'stop'
      } catch (error) {
        if (!(error instanceof Conflict)) throw error
        await this.#reload()
      }
    }
  }

  /**
   * The last write, in one transaction with `changes`. False if an abort came first and the saga can still be undone.
   */
  async end(patch: Patch, expires: number, changes: () => Promise<Change[]>, canUndo: boolean): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      const body = omit({ ...this.record, ...patch }, ['lease', 'signalled', 'parked'])
      const last = sagas.replace(this.#item, body, { due: undefined, expires })
      try {
        await this.#store.transact([last, ...(await changes())])
        this.#item = { ...this.#item, body }
        return true
      } catch (error) {
        if (!(error instanceof Conflict) || attempt > MAX_CONFLICTS) throw error
        if (error.index === 0) await this.#reload()
        if (canUndo && this.record.abortReason) return false
      }
    }
  }

  #retryMs(parked: boolean): number {
    return parked ? PARKED_MS : backOffMs(this.record.tries, RETRY)
  }

  /** Takes over the version in the store, and of its content what others may write while we hold the lease. */
  async #reload(): Promise<void> {
    const { project, id, lease } = this.record
    const stored = await sagas.get(this.#store, project, id)
    if (!stored || stored.body.lease?.id !== lease?.id) throw new LostLease()
    // The request may have been encrypted with another key.
    const { signalled, abortReason, request } = stored.body
    const progress = omit(this.record, ['signalled', 'abortReason'])
    const body = { ...progress, request, ...(signalled && { signalled }), ...(abortReason && { abortReason }) }
    this.#item = { ...stored, body }
  }
}

function omit(record: SagaRecord, names: (keyof SagaRecord)[]): SagaRecord {
  const copy = { ...record }
  for (const name of names) delete copy[name]
  return copy
}
