import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../../lib/kit/clock.ts'

/** A clock that moves only when told. */
export interface VirtualClock extends Clock {
  /** Moves on by `ms`, waking sleepers in the order of their times; what each wakes runs before the next is woken. */
  advance(ms: number): Promise<void>
}

interface Sleeper {
  at: number
  wake(): void
}

/** Starts at `start` milliseconds since the epoch. */
export function virtualClock(start = 1_700_000_000_000): VirtualClock {
  let now = start
  const sleepers = new Set<Sleeper>()

  function earliest(until: number): Sleeper | undefined {
    let found: Sleeper | undefined
    for (const sleeper of sleepers) if (sleeper.at <= until && (!found || sleeper.at < found.at)) found = sleeper
    return found
  }

  return {
    now: () => now,
    sleep(ms, signal) {
      if (signal?.aborted) return Promise.resolve()
      return new Promise(resolve => {
        const wake = () => {
          sleepers.delete(sleeper)
          signal?.removeEventListener('abort', wake)
          resolve()
        }
        const sleeper = { at: now + Math.max(ms, 0), wake }
        sleepers.add(sleeper)
        signal?.addEventListener('abort', wake)
      })
    },
    async advance(ms) {
      const until = now + ms
      await turn() // what was just started gets to its sleep
      for (let next = earliest(until); next; next = earliest(until)) {
        now = Math.max(now, next.at)
        next.wake()
        await turn()
      }
      now = Math.max(now, until)
    },
  }
}

/** The time of day, for tests of what waits for sockets or processes. */
export const realClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise(resolve => {
      if (signal?.aborted) return resolve()
      const end = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, ms)
      signal?.addEventListener('abort', end)
    }),
}
