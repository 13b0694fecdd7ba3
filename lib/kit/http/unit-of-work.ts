import type { Queue } from '../../ports/queue.ts'
import type { Change, Item, Key, Store } from '../../ports/store.ts'
import { Conflict } from '../../ports/store.ts'
import type { Log } from '../clock.ts'
import { messageOf } from '../errors.ts'

/**
 * `buffered` holds the first transaction until the handler ends or reads, so that the request's records commit with it.
 * `immediate` commits every transaction at once. `dry-run` only checks them.
 */
export type UnitMode = 'buffered' | 'immediate' | 'dry-run'

interface UnitDeps {
  store: Store
  queue: Queue
  log: Log
}

/** The first transaction conflicted: what the handler read is out of date. It has to run again, in `immediate` mode. */
export class StaleRead extends Error {
  override name = 'StaleRead'
}
/** The idempotency or audit record conflicted, not the handler's changes. */
export class RecordConflict extends Error {
  override name = 'RecordConflict'
}

/**
 * The work of one request: a store and a queue for its handler. Records of the request commit with the handler's
 * changes.
 */
export interface UnitOfWork {
  store: Store
  queue: Queue
  /** Whether a change of the handler was committed. */
  readonly committed: boolean
  /** What the commit threw, even if the handler caught it. */
  readonly failure: StaleRead | RecordConflict | undefined
  /**
   * Commits what is buffered, in one transaction with `records`. Throws StaleRead or RecordConflict; nothing is changed
   * then.
   */
  finish(records: Change[]): Promise<void>
  /** Drops what is buffered. */
  discard(): void
}

/**
 * Begins the work of one request. `earlyRecords` are the records that commit with the first transaction when that
 * cannot wait for the end of the handler.
 */
export function beginUnitOfWork(deps: UnitDeps, mode: UnitMode, earlyRecords: () => Change[]): UnitOfWork {
  return new Unit(deps, mode, earlyRecords)
}

class Unit implements UnitOfWork {
  readonly store: Store
  readonly queue: Queue
  readonly #deps: UnitDeps
  readonly #mode: UnitMode
  readonly #earlyRecords: () => Change[]
  #pending: Change[] = []
  #sends: (() => Promise<void>)[] = []
  #committed = false
  #failure: StaleRead | RecordConflict | undefined

  constructor(deps: UnitDeps, mode: UnitMode, earlyRecords: () => Change[]) {
    this.#deps = deps
    this.#mode = mode
    this.#earlyRecords = earlyRecords
    const { store, queue } = mode === 'dry-run' ? dryRun(deps) : this.#buffered()
    this.store = store
    this.queue = queue
  }

  get committed() {
    return this.#committed
  }

  get failure() {
    return this.#failure
  }

  async finish(records: Change[]): Promise<void> {
    if (this.#failure) throw this.#failure
    if (this.#pending.length + records.length > 0) await this.#commit(records)
  }

  discard(): void {
    this.#pending = []
    this.#sends = []
  }

  #buffered(): Pick<UnitOfWork, 'store' | 'queue'> {
    const { store, queue } = this.#deps
    return {
      store: { ...flushBefore(store, () => this.#flush()), transact: changes => this.#transact(changes) },
      queue: { ...bound(queue), send: (topic, messages) => this.#send(topic, messages) },
    }
  }

  async #transact(changes: Change[]): Promise<void> {
    if (changes.length === 0) return
    await this.#flush()
    if (this.#committed) return this.#deps.store.transact(changes)
    this.#pending = changes
    if (this.#mode === 'immediate') await this.#flush()
  }

  async #send(topic: string, messages: Messages): Promise<void> {
    if (this.#pending.length > 0) this.#sends.push(() => this.#sendAfterCommit(topic, messages))
    else if (this.#committed) await this.#sendAfterCommit(topic, messages)
    else await this.#deps.queue.send(topic, messages)
  }

  /** The work is committed, so a failure must not fail the request: `periodic` makes up for a lost message. */
  async #sendAfterCommit(topic: string, messages: Messages): Promise<void> {
    try {
      await this.#deps.queue.send(topic, messages)
    } catch (error) {
      this.#deps.log.warn({ topic, error: messageOf(error) }, 'failed to send a message')
    }
  }

  async #flush(): Promise<void> {
    if (this.#failure) throw this.#failure
    if (this.#pending.length > 0) await this.#commit(this.#earlyRecords())
  }

  async #commit(records: Change[]): Promise<void> {
    const changes = this.#pending
    try {
      await this.#deps.store.transact([...changes, ...records])
    } catch (error) {
      if (!(error instanceof Conflict)) throw error
      const isOurs = error.index < changes.length
      if (isOurs && this.#mode === 'immediate') throw error
      this.#failure = isOurs ? new StaleRead() : new RecordConflict()
      throw this.#failure
    } finally {
      this.#pending = []
    }
    if (changes.length > 0) this.#committed = true
    const sends = this.#sends
    this.#sends = []
    for (const send of sends) await send()
  }
}

type Messages = Parameters<Queue['send']>[1]

/** The store, which runs `before` ahead of each read. */
function flushBefore(store: Store, before: () => Promise<void>): Store {
  const flushed =
    <A extends unknown[], R>(read: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      await before()
      return read(...args)
    }
  return {
    transact: changes => store.transact(changes),
    check: changes => store.check(changes),
    close: () => store.close(),
    get: flushed(key => store.get(key)),
    list: flushed((project, kind, range) => store.list(project, kind, range)),
    all: flushed((kind, range) => store.all(kind, range)),
    due: flushed((until, limit) => store.due(until, limit)),
    ofSubject: flushed((subject, kind, range) => store.ofSubject(subject, kind, range)),
    ofParent: flushed((parent, kind, range) => store.ofParent(parent, kind, range)),
  }
}

/** The queue as a plain object that can be spread, also if it is a class instance. */
const bound = (queue: Queue): Queue => ({
  declare: topic => queue.declare(topic),
  remove: topic => queue.remove(topic),
  send: (topic, messages) => queue.send(topic, messages),
  receive: (topic, options) => queue.receive(topic, options),
  ack: (topic, receipts) => queue.ack(topic, receipts),
  extend: (topic, receipt, ms) => queue.extend(topic, receipt, ms),
  release: (topic, receipts, delayMs) => queue.release(topic, receipts, delayMs),
  close: () => queue.close(),
})
const doNothing = async () => {}

/** Checks transactions, keeps their records in memory for reads by key, and sends nothing. */
function dryRun({ store, queue }: UnitDeps): Pick<UnitOfWork, 'store' | 'queue'> {
  const written = new Map<string, Item | undefined>()
  const nameOf = ({ project, id }: Key) => `${project}/${id}`
  return {
    queue: { ...bound(queue), send: doNothing, declare: doNothing, remove: doNothing },
    store: {
      ...flushBefore(store, doNothing),
      get: async key => (written.has(nameOf(key)) ? written.get(nameOf(key)) : store.get(key)),
      async transact(changes) {
        await store.check(changes.filter(({ key }) => !written.has(nameOf(key))))
        for (const [index, change] of changes.entries()) {
          const name = nameOf(change.key)
          const isWritten = written.has(name)
          const current = written.get(name)
          if (isWritten && 'was' in change && change.was !== undefined && change.was !== (current?.version ?? 0)) {
            throw new Conflict(index, 'version')
          }
          if (change.op === 'delete') written.set(name, undefined)
          if (change.op !== 'put') continue
          const { op: _, was: __, ...item } = change
          const version = (isWritten ? current?.version : (await store.get(change.key))?.version) ?? 0
          written.set(name, { ...item, version: version + 1 })
        }
      },
    },
  }
}
