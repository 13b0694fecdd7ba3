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
  clock: Pick<Clock, 'sleep'>
  /** Places: how much runs at once. */
  width: number
  /** What runs for longer waits for something (an agent's answer) and gives its place to the next; milliseconds. */
  placeMs: number
  /** The most that may wait of one key. */
  most: number
}

/** One that waits for a place, in its key's chain. */
interface Waiting {
  enter(): void
  next?: Waiting
}

export function admission({ clock, width, placeMs, most }: AdmissionOptions): Admission {
  /** Who waits, by key, in the order of the keys' turns; none is empty. */
  const queues = new Map<string, { first: Waiting; last: Waiting; size: number }>()
  let running = 0
  let waiting = 0

  /** Hands a place over, so that `running` changes only when nobody waits. */
  function next(): void {
    const turn = queues.entries().next().value
    if (!turn) {
      running--
      return
    }
    const [key, queue] = turn
    const { first } = queue
    queues.delete(key)
    if (first.next) queues.set(key, { first: first.next, last: queue.last, size: queue.size - 1 }) // behind the others
    waiting--
    first.enter()
  }

  async function entered(key: string): Promise<void> {
    if (running < width) {
      running++
      return
    }
    const queue = queues.get(key)
    if (queue && queue.size >= most) throw new Fault(503, 'Too many requests are waiting.')
    waiting++
    await new Promise<void>(enter => {
      const last: Waiting = { enter }
      if (queue) queue.last.next = last
      queues.set(key, { first: queue?.first ?? last, last, size: (queue?.size ?? 0) + 1 })
    })
  }

  return {
    async run(key, work) {
      await entered(key)
      const over = new AbortController()
      let left = false
      const leave = () => {
        if (left) return
        left = true
        next()
      }
      void clock.sleep(placeMs, over.signal).then(leave)
      try {
        return await work()
      } finally {
        leave()
        over.abort('over') // without a reason it would make an Error with its stack
      }
    },
    depth: () => ({ waiting, running }),
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
