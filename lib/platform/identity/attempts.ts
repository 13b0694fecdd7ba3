import type { Clock } from '../../kit/clock.ts'
import { Conflict, type Store } from '../store/store.ts'
import { digest, EVERYBODY, attempts as kind } from './records.ts'

const WINDOW = 60_000
/** Failures in one window, after which even the right password is refused until the next. */
export const MOST_FAILURES = 10
/** A failure counts this much and an attempt under way 1, so that many at once cannot slip through before one has failed. */
const FAILURE = 10
const MOST_UNITS = MOST_FAILURES * FAILURE

/** Counts the failures of each login by the minute, in the store: bounded for all processes together. */
export interface Attempts {
  /** Undefined when there were too many; else to be told the outcome. */
  begin(whom: string): Promise<((succeeded: boolean) => Promise<void>) | undefined>
}

export function attempts(store: Store, clock: Clock): Attempts {
  return {
    async begin(whom) {
      const minute = Math.floor(clock.now() / WINDOW)
      const id = `${digest(whom)}/${minute}`
      const key = kind.key(EVERYBODY, id)
      // Expires a window later than anybody adds to it: `add` on an expired record would make one that never ends.
      const first = kind.create(EVERYBODY, id, { units: 1 }, { expires: (minute + 2) * WINDOW })
      const more = { op: 'add', key, field: 'units', by: 1, max: MOST_UNITS } as const
      if (!(await took(store, first)) && !(await took(store, more))) return undefined
      return async succeeded => {
        const by = succeeded ? -1 : FAILURE - 1
        await store.transact([{ op: 'add', key, field: 'units', by }])
      }
    },
  }
}

async function took(store: Store, change: Parameters<Store['transact']>[0][number]): Promise<boolean> {
  try {
    await store.transact([change])
    return true
  } catch (error) {
    if (error instanceof Conflict) return false
    throw error
  }
}
