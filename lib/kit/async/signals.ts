import type { Clock } from '../clock.ts'

/**
 * Wakes waiters in this process when a record is written, so that they need not wait for their next poll. Nothing
 * depends on it: waiters also poll every 50 ms, which is how they see what another process wrote.
 */
export interface Signals {
  /** Wakes everyone who waits under this name. */
  notify(name: string): void
  /**
   * Hands the text to everyone in `waitForText` under this name. False if there is nobody: then it has to be stored.
   */
  deliver(name: string, text: string): boolean
  /** Calls `poll` until it resolves to a value. Undefined if `ms` milliseconds pass first. */
  waitFor<T>(name: string, ms: number, poll: () => Promise<T | undefined>): Promise<T | undefined>
  /** The same for a text, which may also arrive by `deliver`. A delivered text wins over a polled one. */
  waitForText(name: string, ms: number, poll: () => Promise<string | undefined>): Promise<string | undefined>
}

const POLL_MS = 50

interface Waiter {
  /** Aborting it wakes the waiter. */
  wake: AbortController
  /** Takes a delivered text; missing for waiters that only poll. */
  accept?(text: string): void
}

// Without a reason `abort` would create an Error with a stack for each call.
const wakeUp = ({ wake }: Waiter) => wake.abort('notified')

/**
 * Signals between the requests of one process.
 *
 * @example
 * const signals = inProcessSignals(clock)
 * const order = signals.waitFor('order 7', 5_000, () => findOrder(7)) // polls at once, and again when notified
 * signals.notify('order 7')
 */
export function inProcessSignals(clock: Clock): Signals {
  const waiters = new Map<string, Set<Waiter>>()
  const add = (name: string, waiter: Waiter) => {
    const set = waiters.get(name) ?? new Set()
    waiters.set(name, set.add(waiter))
  }
  const remove = (name: string, waiter: Waiter) => {
    const set = waiters.get(name)
    set?.delete(waiter)
    if (set?.size === 0) waiters.delete(name)
  }

  async function wait<T>(
    name: string,
    ms: number,
    poll: () => Promise<T | undefined>,
    accept?: (text: string) => void,
  ): Promise<T | undefined> {
    const end = clock.now() + ms
    for (;;) {
      const wake = new AbortController()
      const waiter = accept ? { wake, accept } : { wake }
      add(name, waiter)
      try {
        const value = await poll()
        if (value !== undefined) return value
        const remainingMs = end - clock.now()
        if (remainingMs <= 0) return undefined
        await clock.sleep(Math.min(POLL_MS, remainingMs), wake.signal)
      } finally {
        remove(name, waiter)
      }
    }
  }

  return {
    notify(name) {
      for (const waiter of waiters.get(name) ?? []) wakeUp(waiter)
    },
    deliver(name, text) {
      const receivers = [...(waiters.get(name) ?? [])].filter(waiter => waiter.accept)
      for (const receiver of receivers) {
        receiver.accept?.(text)
        wakeUp(receiver)
      }
      return receivers.length > 0
    },
    waitFor: (name, ms, poll) => wait(name, ms, poll),
    waitForText(name, ms, poll) {
      let delivered: string | undefined
      const deliveredOrPolled = async () => {
        const polled = delivered ?? (await poll())
        return delivered ?? polled
      }
      return wait(name, ms, deliveredOrPolled, text => {
        delivered = text
      })
    },
  }
}
