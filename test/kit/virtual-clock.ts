import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../../lib/kit/clock.ts'

/** A clock that only moves by `advance`. */
export interface VirtualClock extends Clock {
  /** Moves on by `ms` milliseconds and wakes sleepers in order. What one of them does runs before the next is woken. */
  advance(ms: number): Promise<void>
  /** Sets the clock back, as an administrator does: sleeps last as long as before. */
  setBack(ms: number): void
}

interface Sleeper {
  wakeAt: number
  wake(): void
}

/** Starts at `start` milliseconds since the epoch. */
export function virtualClock(start = 1_700_000_000_000): VirtualClock {
  let now = start
  const sleepers = new Set<Sleeper>()

  function earliest(until: number): Sleeper | undefined {
    let first: Sleeper | undefined
    for (const sleeper of sleepers)
      if (sleeper.wakeAt <= until && (!first || sleeper.wakeAt < first.wakeAt)) first = sleeper
    return first
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
        const sleeper = { wakeAt: now + Math.max(ms, 0), wake }
        sleepers.add(sleeper)
        signal?.addEventListener('abort', wake)
      })
    },
    async advance(ms) {
      const until = now + ms
      await nextTurn() // lets what has just started reach its sleep
      for (let next = earliest(until); next; next = earliest(until)) {
        now = Math.max(now, next.wakeAt)
        next.wake()
        await nextTurn()
      }
      now = Math.max(now, until)
    },
    setBack(ms) {
      now -= ms
      for (const sleeper of sleepers) sleeper.wakeAt -= ms
    },
  }
}

/** The real time, for tests that wait for sockets or processes. */
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
