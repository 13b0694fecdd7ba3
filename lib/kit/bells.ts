import type { Clock } from './clock.ts'

/** Doorbells: whoever waits for a record is woken when it is written in the same process, and looks again now and then anyway. */
export interface Bells {
  ring(name: string): void
  /** Gives a text to whoever waits in this process and takes texts; false = nobody does, it has to be written. */
  hand(name: string, text: string): boolean
  /** Calls `look` until it gives something or `ms` have passed; what is handed before is taken by `taken`. */
  until<T>(
    name: string,
    ms: number,
    look: () => Promise<T | undefined>,
    taken?: (text: string) => T,
  ): Promise<T | undefined>
}

/** How often a record is looked at while no bell rings: what another process wrote is seen that late. */
const POLL_MS = 50

interface Waiter {
  rung: AbortController
  take?(text: string): boolean
}

export function bells(clock: Clock): Bells {
  const waiting = new Map<string, Set<Waiter>>()
  const listen = (name: string, waiter: Waiter) => {
    const set = waiting.get(name) ?? new Set()
    waiting.set(name, set.add(waiter))
  }
  const forget = (name: string, waiter: Waiter) => {
    const set = waiting.get(name)
    set?.delete(waiter)
    if (set?.size === 0) waiting.delete(name)
  }
  return {
    ring(name) {
      for (const { rung } of waiting.get(name) ?? []) rung.abort('rung') // without a reason it would make an Error
    },
    hand(name, text) {
      const takers = [...(waiting.get(name) ?? [])].filter(waiter => waiter.take?.(text))
      for (const { rung } of takers) rung.abort('rung')
      return takers.length > 0
    },
    async until<T>(name: string, ms: number, look: () => Promise<T | undefined>, taken?: (text: string) => T) {
      const end = clock.now() + ms
      let handed: string | undefined
      const take = (text: string) => {
        handed = text
        return true
      }
      for (;;) {
        const rung = new AbortController()
        const waiter = taken ? { rung, take } : { rung }
        listen(name, waiter)
        try {
          const found = await look()
          if (taken && handed !== undefined) return taken(handed)
          if (found !== undefined) return found
          const left = end - clock.now()
          if (left <= 0) return undefined
          await clock.sleep(Math.min(POLL_MS, left), rung.signal)
          if (taken && handed !== undefined) return taken(handed)
        } finally {
          forget(name, waiter)
        }
      }
    },
  }
}
