import { setImmediate as turnOfLoop } from 'node:timers/promises'
import type { Clock } from '../lib/kit/clock.ts'
import { Fault } from '../lib/kit/errors.ts'

/** Lets work in, a bounded number at a time, the keys taking turns: who queues much delays himself alone. */
export interface Admission {
  /** Runs the work once it has a place. Throws Fault 503 when too much of the key waits already. */
  run<T>(key: string, work: () => Promise<T>): Promise<T>
  /** Resolves once less of the key waits; undefined if little does. Who brings more for the key should wait until then. */
  room(key: string): Promise<void> | undefined
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
  /** From so much waiting of one key on there is no room for more of it. */
  crowd: number
}

/** One that waits for a place, in its key's chain. */
interface Waiting {
  enter(place: Place): void
  next?: Waiting
}

/** What waits of one key; never empty. */
interface Queue {
  first: Waiting
  last: Waiting
  size: number
  /** Lets go on who waits for room, the first that asked first. */
  held: (() => void)[]
}

/** A place that somebody has, and since when. */
interface Place {
  since: number
}

export function admission({ clock, width, placeMs, most, crowd }: AdmissionOptions): Admission {
  /** Who waits, by key, in the order of the keys' turns. */
  const queues = new Map<string, Queue>()
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
    while (places.size < width && next());
  }

  /** Lets the next one in; false if there is none. One that crowds leaves half of the places to others. */
  function next(): boolean {
    for (const [key, queue] of queues) {
      if (queue.held.length > 0 && places.size >= width / 2) continue
      enter(key, queue)
      return true
    }
    return false
  }

  function enter(key: string, queue: Queue): void {
    const { first, held } = queue
    const { next: second } = first
    // Else the garbage collector takes all that came after a garbage that has grown old for alive.
    delete first.next
    queue.size--
    waiting--
    if (!second || queues.size > 1) queues.delete(key)
    if (second) {
      queue.first = second
      queues.set(key, queue) // behind the others
    }
    // One comes for one that goes; once nothing waits nobody is held.
    const ready = second ? Number(queue.size < crowd) : held.length
    for (const go of held.splice(0, ready)) go()
    first.enter(taken())
  }

  function queued(key: string): Promise<Place> {
    const queue = queues.get(key)
    if (queue && queue.size >= most) throw new Fault(503, 'Too many requests are waiting.')
    waiting++
    if (!watching) void watch()
    // A place may be left by those who crowd.
    if (places.size < width) void handOver()
    return new Promise(enter => {
      const last: Waiting = { enter }
      if (!queue) return queues.set(key, { first: last, last, size: 1, held: [] })
      queue.last = queue.last.next = last
      return queue.size++
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
    room(key) {
      const queue = queues.get(key)
      return queue && queue.size >= crowd ? new Promise(go => queue.held.push(go)) : undefined
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
