import { TooManyLogins } from '../../../ports/accounts.ts'

/** Runs at most `width` at once and lets at most `waiting` wait; any further call rejects with TooManyLogins. */
export function limitConcurrency(width: number, waiting: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0
  const queue: (() => void)[] = []
  return async work => {
    if (running >= width) {
      if (queue.length >= waiting) throw new TooManyLogins('too many logins at once')
      // A finished call passes its slot on, so `running` does not change.
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
