import type { Change, Store } from '../../platform/store/store.ts'
import { Conflict } from '../../platform/store/store.ts'
import type { Clock } from '../clock.ts'
import type { Stored } from '../records.ts'
import { type SagaRecord, sagas } from './saga.ts'

/** Clean waits and failed tries of one step before it is looked at again: doubling, in milliseconds. */
const NAP = { first: 1_000, most: 15_000 }
const BACK_OFF = { first: 250, most: 60_000 }
const PARKED_MS = 5 * 60_000

/** Another runner holds the saga now. */
export class LostLease extends Error {}

type Patch = Partial<SagaRecord>

interface Parts {
  store: Store
  clock: Clock
  /** Told of every wait that begins, to ring at its end where `periodic` looks too seldom for that. */
  later?: ((record: SagaRecord, ms: number) => Promise<void>) | undefined
}

/** A saga under our lease: every write is conditional on it. */
export class Held {
  #item: Stored<SagaRecord>
  readonly #store: Store
  readonly #clock: Clock
  readonly #later: ((record: SagaRecord, ms: number) => Promise<void>) | undefined
  #request: { of: unknown; unlocked: unknown } | undefined
  constructor(item: Stored<SagaRecord>, { store, clock, later }: Parts) {
    this.#item = item
    this.#store = store
    this.#clock = clock
    this.#later = later
  }

  get record(): SagaRecord {
    return this.#item.body
  }

  /** The request with its secrets, unlocked once for the lease. */
  async unlocked(unlock: (request: unknown) => Promise<unknown>): Promise<unknown> {
    const { request } = this.record
    if (this.#request?.of !== request) this.#request = { of: request, unlocked: await unlock(request) }
    return this.#request?.unlocked
  }

  /** Writes progress; what others wrote meanwhile (bell, preemption) is kept. Throws LostLease. */
  async write(patch: Patch, without: (keyof SagaRecord)[] = [], due?: number): Promise<void> {
    for (;;) {
      const body = omit({ ...this.record, ...patch }, without)
      try {
        await this.#store.transact([sagas.replace(this.#item, body, due === undefined ? {} : { due })])
        this.#item = { ...this.#item, body, version: this.#item.version + 1 }
        return
      } catch (error) {
        if (!(error instanceof Conflict)) throw error
        await this.#reread()
      }
    }
  }

  /** A clean wait; ends at once if the bell rang since the lease was taken. */
  nap(parked = false): Promise<'on' | 'over'> {
    const ms = Math.min(NAP.most, NAP.first * 2 ** Math.min(this.record.naps, 10))
    const naps = this.record.naps + 1
    return this.release(this.#clock.now() + ms, { tries: 0, naps, ...(parked && { parked }) })
  }

  backOff(error: string | undefined, parked = false): Promise<'on' | 'over'> {
    const ms = parked ? PARKED_MS : backOffMs(this.record.tries)
    return this.release(this.#clock.now() + ms, { ...(error !== undefined && { error }), ...(parked && { parked }) })
  }

  /** Gives the lease back after what nobody expected. Whoever rang fails, and rings again himself; `periodic` does, too. */
  async drop(error: string, parked: boolean): Promise<void> {
    const ms = parked ? PARKED_MS : backOffMs(this.record.tries)
    const patch = { ...(this.record.status === 'RUNNING' && { error }), ...(parked && { parked }) }
    await this.write(patch, ['lease', 'rung'], this.#clock.now() + ms)
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
        await this.#later?.(this.record, Math.max(0, due - this.#clock.now()))
        return 'over'
      } catch (error) {
        if (!(error instanceof Conflict)) throw error
        await this.#reread()
      }
    }
  }

  /** The last write, together with the changes it goes with; false if it was preempted before and can still turn round. */
  async end(patch: Patch, expires: number, changes: () => Promise<Change[]>, turns: boolean): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      const body = omit({ ...this.record, ...patch }, ['lease', 'rung', 'parked'])
      const last = sagas.replace(this.#item, body, { due: undefined, expires })
      try {
        await this.#store.transact([last, ...(await changes())])
        this.#item = { ...this.#item, body }
        return true
      } catch (error) {
        if (!(error instanceof Conflict) || attempt > 50) throw error
        if (error.index === 0) await this.#reread()
        if (turns && this.record.preempted) return false
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

const backOffMs = (tries: number) => Math.min(BACK_OFF.most, BACK_OFF.first * 2 ** Math.min(tries - 1, 20))

function omit(record: SagaRecord, names: (keyof SagaRecord)[]): SagaRecord {
  const copy = { ...record }
  for (const name of names) delete copy[name]
  return copy
}
