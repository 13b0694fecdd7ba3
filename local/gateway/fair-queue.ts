import { AsyncLocalStorage } from 'node:async_hooks'
import { setImmediate as nextLoopTurn } from 'node:timers/promises'
import { type Clock, elapsedMs } from '../../lib/kit/clock.ts'
import { Fault } from '../../lib/kit/errors.ts'
import { Lanes } from './lanes.ts'

export interface FairQueueOptions {
  clock: Clock
  /** Places: how many requests run at once. */
  width: number
  /** A request that runs longer waits for something (an agent's answer) and gives up its place; milliseconds. */
  placeMs: number
  /** How many requests of one key may wait. */
  maxWaiting: number
  /** From so many waiting requests of one key on, its connections are not read. */
  backlogLimit: number
}

/** A request that waits for a place. */
interface Waiter {
  enter(place: Place): void
}

/** The waiting requests of one key; never empty. */
interface Backlog {
  waiters: Lanes<Waiter>
  /** Callbacks that resume paused connections, oldest first. */
  paused: (() => void)[]
}

/** A place in use, and since when. */
interface Place {
  since: number
}

/**
 * Runs a bounded number of requests at a time; keys (projects) take turns, so that who queues many delays only
 * himself.
 */
export class FairQueue {
  readonly #options: FairQueueOptions
  /** Waiting requests by key, in the order of the keys' turns. */
  readonly #backlogs = new Map<string, Backlog>()
  /** Places in use, the oldest first. */
  readonly #places = new Set<Place>()
  /** The place of the request that runs. */
  readonly #current = new AsyncLocalStorage<Place>()
  #waiting = 0
  #watching = false
  #admitting = false

  constructor(options: FairQueueOptions) {
    this.#options = options
  }

  /**
   * Runs the work once it has a place. Throws Fault 503 when too many requests of the key wait already. The lanes of
   * a key take its turns by turns.
   */
  async run<T>(key: string, work: () => Promise<T>, lane = ''): Promise<T> {
    const isFree = this.#places.size < this.#options.width && this.#waiting === 0
    const place = isFree ? this.#takePlace() : await this.#wait(key, lane)
    try {
      return await this.#current.run(place, work)
    } finally {
      this.#free(place)
    }
  }

  /** The caller, if it has a place, waits for something from now on: others need not wait for it. */
  leave(): void {
    const place = this.#current.getStore()
    if (place) this.#free(place)
  }

  /** Resolves once fewer requests of the key wait; undefined if few do. Do not read more for the key until then. */
  room(key: string): Promise<void> | undefined {
    const backlog = this.#backlogs.get(key)
    if (!backlog || backlog.waiters.size < this.#options.backlogLimit) return undefined
    return new Promise(resume => backlog.paused.push(resume))
  }

  /** How many requests wait, and how many have a place. */
  depth(): { waiting: number; running: number } {
    return { waiting: this.#waiting, running: this.#places.size }
  }

  #takePlace(): Place {
    const place = { since: this.#options.clock.now() }
    this.#places.add(place)
    return place
  }

  /** Frees a place, once: it may have been taken away before. */
  #free(place: Place): void {
    if (this.#places.delete(place)) void this.#admitWaiting()
  }

  /**
   * Gives free places to waiting requests, in a later turn of the event loop: handlers that do no I/O would else follow
   * each other without end, and a new connection (another project's first request) would not even be read.
   */
  async #admitWaiting(): Promise<void> {
    if (this.#admitting || this.#waiting === 0) return
    this.#admitting = true
    await nextLoopTurn()
    this.#admitting = false
    while (this.#places.size < this.#options.width && this.#admitNext());
  }

  /**
   * Admits the next request; false if none may enter. A key with paused connections leaves half of the places to
   * others.
   */
  #admitNext(): boolean {
    for (const [key, backlog] of this.#backlogs) {
      if (backlog.paused.length > 0 && this.#places.size >= this.#options.width / 2) continue
      this.#admit(key, backlog)
      return true
    }
    return false
  }

  #admit(key: string, backlog: Backlog): void {
    const { waiters, paused } = backlog
    const first = waiters.take()
    const hasMore = waiters.size > 0
    this.#waiting--
    if (!hasMore || this.#backlogs.size > 1) this.#backlogs.delete(key)
    if (hasMore) this.#backlogs.set(key, backlog) // behind the others
    // One connection is resumed for each request that enters; all of them once nothing waits.
    const count = hasMore ? Number(waiters.size < this.#options.backlogLimit) : paused.length
    for (const resume of paused.splice(0, count)) resume()
    first?.enter(this.#takePlace())
  }

  #wait(key: string, lane: string): Promise<Place> {
    const { width, maxWaiting } = this.#options
    const backlog = this.#backlogs.get(key)
    if (backlog && backlog.waiters.size >= maxWaiting) throw new Fault(503, 'Too many requests are waiting.')
    this.#waiting++
    if (!this.#watching) void this.#reclaimPlaces()
    // Places that a crowding key must leave to others may be free.
    if (this.#places.size < width) void this.#admitWaiting()
    return new Promise(enter => {
      const { waiters } = backlog ?? this.#newBacklog(key)
      waiters.add(lane, { enter })
    })
  }

  #newBacklog(key: string): Backlog {
    const backlog = { waiters: new Lanes<Waiter>(), paused: [] }
    this.#backlogs.set(key, backlog)
    return backlog
  }

  /** While requests wait, takes places from those that have had them for longer than `placeMs`. */
  async #reclaimPlaces(): Promise<void> {
    const { clock, placeMs } = this.#options
    this.#watching = true
    while (this.#waiting > 0) {
      const [oldest] = this.#places
      const remaining = oldest ? placeMs - elapsedMs(clock.now(), oldest.since) : placeMs
      if (!oldest || remaining > 0) await clock.sleep(remaining)
      else {
        this.#free(oldest)
        await nextLoopTurn()
      }
    }
    this.#watching = false
  }
}
