import type { Queue } from '../platform/queue/queue.ts'
import type { Change, Item, Key, Store } from '../platform/store/store.ts'
import { Conflict } from '../platform/store/store.ts'
import type { Log } from './clock.ts'
import { reason } from './errors.ts'

/**
 * How a unit treats what is changed in it. `gather` keeps the first transaction back until its end, so that what is told
 * at the end goes with it, or until something is read; `direct` carries all out at once; `dry` only checks.
 */
export type Mode = 'gather' | 'direct' | 'dry'

interface Direct {
  store: Store
  queue: Queue
  log: Log
}

/** The first transaction was based on what is no longer so: the whole unit has to be done again, in `direct` mode. */
export class Outdated extends Error {
  override name = 'Outdated'
}
/** What goes with the first transaction conflicts, not the transaction itself. */
export class Taken extends Error {
  override name = 'Taken'
}

/** The work of one request: a store and a queue for its handler, whose changes have company. */
export interface Unit {
  store: Store
  queue: Queue
  /** Whether something was changed for good. */
  readonly committed: boolean
  /** Thrown by the commit, whatever became of it on its way through the handler. */
  readonly failure: Outdated | Taken | undefined
  /** Carries out what was kept back, with `more` in the same transaction. Throws Outdated or Taken; then nothing was done. */
  finish(more: Change[]): Promise<void>
  /** Forgets what was kept back. */
  drop(): void
}

/** `early` is what goes with the first transaction where that cannot wait for the end. */
export function unitOf(direct: Direct, mode: Mode, early: () => Change[]): Unit {
  let pending: Change[] = []
  let sends: (() => Promise<void>)[] = []
  let committed = false
  let failure: Outdated | Taken | undefined

  async function commit(more: Change[]): Promise<void> {
    const work = pending
    try {
      await direct.store.transact([...work, ...more])
    } catch (error) {
      if (!(error instanceof Conflict)) throw error
      if (error.index < work.length && mode === 'direct') throw error
      failure = error.index < work.length ? new Outdated() : new Taken()
      throw failure
    } finally {
      pending = []
    }
    if (work.length > 0) committed = true
    const bells = sends
    sends = []
    for (const ring of bells) await ring()
  }

  const flush = async () => {
    if (failure) throw failure
    if (pending.length > 0) await commit(early())
  }

  /** A doorbell that is lost is rung again by `periodic`: what was committed is done, whether or not it rings. */
  const ring = (topic: string, messages: Parameters<Queue['send']>[1]) => async () => {
    try {
      await direct.queue.send(topic, messages)
    } catch (error) {
      direct.log.warn({ topic, error: reason(error) }, 'doorbell lost')
    }
  }

  const transact = async (changes: Change[]) => {
    if (changes.length === 0) return
    await flush()
    if (committed) return direct.store.transact(changes)
    pending = changes
    if (mode === 'direct') await flush()
  }
  const send: Queue['send'] = async (topic, messages) => {
    if (pending.length > 0) sends.push(ring(topic, messages))
    else if (committed) await ring(topic, messages)()
    else await direct.queue.send(topic, messages)
  }
  const live = { store: { ...after(direct.store, flush), transact }, queue: { ...whole(direct.queue), send } }
  const { store, queue } = mode === 'dry' ? dry(direct) : live
  return {
    store,
    queue,
    get committed() {
      return committed
    },
    get failure() {
      return failure
    },
    async finish(more) {
      if (failure) throw failure
      if (pending.length + more.length > 0) await commit(more)
    },
    drop() {
      pending = []
      sends = []
    },
  }
}

/** The store, with something to be done before each read. */
function after(store: Store, before: () => Promise<void>): Store {
  const first =
    <A extends unknown[], R>(work: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      await before()
      return work(...args)
    }
  return {
    transact: changes => store.transact(changes),
    check: changes => store.check(changes),
    close: () => store.close(),
    get: first(key => store.get(key)),
    list: first((project, kind, range) => store.list(project, kind, range)),
    all: first((kind, range) => store.all(kind, range)),
    due: first((until, limit) => store.due(until, limit)),
    ofInstance: first((instance, kind, range) => store.ofInstance(instance, kind, range)),
  }
}

/** The queue as a plain object, whatever its backend is. */
const whole = (queue: Queue): Queue => ({
  declare: topic => queue.declare(topic),
  remove: topic => queue.remove(topic),
  send: (topic, messages) => queue.send(topic, messages),
  receive: (topic, options) => queue.receive(topic, options),
  ack: (topic, receipts) => queue.ack(topic, receipts),
  extend: (topic, receipt, ms) => queue.extend(topic, receipt, ms),
  release: (topic, receipts, delayMs) => queue.release(topic, receipts, delayMs),
  close: () => queue.close(),
})
const nothing = async () => {}

/** Checks, and remembers what would stand in records read by key; sends nothing. */
function dry({ store, queue }: Direct): Pick<Unit, 'store' | 'queue'> {
  const known = new Map<string, Item | undefined>()
  const nameOf = ({ project, id }: Key) => `${project}/${id}`
  return {
    queue: { ...whole(queue), send: nothing, declare: nothing, remove: nothing },
    store: {
      ...after(store, nothing),
      get: async key => (known.has(nameOf(key)) ? known.get(nameOf(key)) : store.get(key)),
      async transact(changes) {
        await store.check(changes.filter(({ key }) => !known.has(nameOf(key))))
        for (const [index, change] of changes.entries()) {
          const now = known.get(nameOf(change.key))
          const stands = known.has(nameOf(change.key))
          if (stands && 'was' in change && change.was !== undefined && change.was !== (now?.version ?? 0)) {
            throw new Conflict(index, 'version')
          }
          if (change.op === 'delete') known.set(nameOf(change.key), undefined)
          if (change.op !== 'put') continue
          const { op: _, was: __, ...item } = change
          const version = (stands ? now?.version : (await store.get(change.key))?.version) ?? 0
          known.set(nameOf(change.key), { ...item, version: version + 1 })
        }
      },
    },
  }
}
