import { Busy } from '../../identity/account.ts'

/** Runs at most `width` at once and lets at most `waiting` wait; the rest reject with Busy. */
export function gate(width: number, waiting: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0
  const queue: (() => void)[] = []
  return async work => {
    if (running >= width) {
      if (queue.length >= waiting) throw new Busy('too many logins at once')
      // Who leaves hands over its place, so `running` does not change.
      await new Promise<void>(resolve => queue.push(resolve))
    } else running++
    try {
      return await work()
    } finally {
      const next = queue.shift()
      if (next) next()
      else running--
    }
  }
}
