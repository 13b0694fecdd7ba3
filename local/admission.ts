import { setImmediate as turnOfLoop } from 'node:timers/promises'
import type { Clock } from '../lib/kit/clock.ts'
import { Fault } from '../lib/kit/errors.ts'

/** Lets work in, a bounded number at a time, the keys taking turns: who queues much delays himself alone. */
export interface Admission {
  /** Runs the work once it has a place. Throws Fault 503 when too much of the key waits already. */
  run<T>(key: string, work: () => Promise<T>): Promise<T>
  /** How many wait, and how many have a place. */
  depth(): { waiting: number; running: number }
}

export interface AdmissionOptions {
  clock: Clock
  /** Places: how much runs at once. */
  width: number
  /** What runs for longer waits for something (an agent's answer) and gives its place to the next; milliseconds. */
  placeMs: number
  /** The most that may wait of one key. */
  most: number
}

/** One that waits for a place, in its key's chain. */
interface Waiting {
  enter(place: Place): void
  next?: Waiting
}

/** A place that somebody has, and since when. */
interface Place {
  since: number
}

export function admission({ clock, width, placeMs, most }: AdmissionOptions): Admission {
  /** Who waits, by key, in the order of the keys' turns; none is empty. */
  const queues = new Map<string, { first: Waiting; last: Waiting; size: number }>()
  /** The places taken, the oldest first. */
  const places = new Set<Place>()
  let waiting = 0
  let watching = false
  let handing = false

  function taken(): Place {
    const place = { since: clock.now() }
    places.add(place)
    return place
  }

  /** Frees a place, once. */
  function free(place: Place): void {
    if (places.delete(place)) void handOver()
  }

  /**
   * Gives free places to those who wait, in a turn of the loop of its own: handlers that wait for nothing outside would
   * else follow each other without end, and what arrives meanwhile (another's first request) would not even be read.
   */
  async function handOver(): Promise<void> {
    if (handing || waiting === 0) return
    handing = true
    await turnOfLoop()
    handing = false
    while (places.size < width && waiting > 0) next()
  }

  function next(): void {
    const turn = queues.entries().next().value
    if (!turn) return
    const [key, queue] = turn
    const { first } = queue
    queues.delete(key)
    if (first.next) queues.set(key, { first: first.next, last: queue.last, size: queue.size - 1 }) // behind the others
    waiting--
    first.enter(taken())
  }

  function queued(key: string): Promise<Place> {
    const queue = queues.get(key)
    if (queue && queue.size >= most) throw new Fault(503, 'Too many requests are waiting.')
    waiting++
    if (!watching) void watch()
    return new Promise(enter => {
      const last: Waiting = { enter }
      if (queue) queue.last.next = last
      queues.set(key, { first: queue?.first ?? last, last, size: (queue?.size ?? 0) + 1 })
    })
  }

  /** While somebody waits, takes places from those who have had them for too long. */
  async function watch(): Promise<void> {
    watching = true
    while (waiting > 0) {
      const [oldest] = places
      const left = oldest ? oldest.since + placeMs - clock.now() : placeMs
      if (!oldest || left > 0) await clock.sleep(left)
      else {
        free(oldest)
        await turnOfLoop()
      }
    }
    watching = false
  }

  return {
    async run(key, work) {
      const place = places.size < width && waiting === 0 ? taken() : await queued(key)
      try {
        return await work()
      } finally {
        free(place)
      }
    },
    depth: () => ({ waiting, running: places.size }),
  }
}

/** Tokens remembered. */
const MOST_TOKENS = 2_000

/** Whose a token was when it was last seen to be good: by this places are shared before it is checked again; nothing is allowed by it. */
export interface Owners {
  learn(token: string, project: string): void
  of(token: string | undefined): string | undefined
}

export function owners(): Owners {
  const known = new Map<string, string>()
  return {
    learn(token, project) {
      known.delete(token)
      known.set(token, project)
      const [oldest] = known.keys()
      if (known.size > MOST_TOKENS && oldest !== undefined) known.delete(oldest)
    },
    of: token => (token === undefined ? undefined : known.get(token)),
  }
}
