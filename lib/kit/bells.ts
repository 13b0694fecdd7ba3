import type { Clock } from './clock.ts'

/** Doorbells: whoever waits for a record is woken when it is written in the same process, and looks again now and then anyway. */
export interface Bells {
  ring(name: string): void
  /** Calls `look` until it gives something or `ms` have passed. */
  until<T>(name: string, ms: number, look: () => Promise<T | undefined>): Promise<T | undefined>
}

/** How often a record is looked at while no bell rings: what another process wrote is seen that late. */
const POLL_MS = 50

export function bells(clock: Clock): Bells {
  const waiting = new Map<string, Set<AbortController>>()
  const listen = (name: string) => {
    const rung = new AbortController()
    const set = waiting.get(name) ?? new Set()
    waiting.set(name, set.add(rung))
    return rung
  }
  const forget = (name: string, rung: AbortController) => {
    const set = waiting.get(name)
    set?.delete(rung)
    if (set?.size === 0) waiting.delete(name)
  }
  return {
    ring(name) {
      for (const rung of waiting.get(name) ?? []) rung.abort()
    },
    async until(name, ms, look) {
      const end = clock.now() + ms
      for (;;) {
        const rung = listen(name)
        try {
          const found = await look()
          if (found !== undefined) return found
          const left = end - clock.now()
          if (left <= 0) return undefined
          await clock.sleep(Math.min(POLL_MS, left), rung.signal)
        } finally {
          forget(name, rung)
        }
      }
    },
  }
}
