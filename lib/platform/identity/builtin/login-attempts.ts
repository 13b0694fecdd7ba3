import type { Clock } from '../../../kit/clock.ts'
import { Conflict, type Store } from '../../../ports/store.ts'
import { ALL_ACCOUNTS, attempts, hashId } from './records.ts'

const WINDOW = 60_000
/** Failures in one window after which even the right password is refused until the next one. */
export const MAX_FAILURES = 10
/** The units of a failure. An attempt in progress counts 1, so that concurrent attempts cannot pass before one fails. */
const FAILURE = 10
const MAX_UNITS = MAX_FAILURES * FAILURE

/** Counts the failures of each login per minute in the store, for all processes together. */
interface LoginAttempts {
  /** Undefined if there were too many failures; otherwise call the result with the outcome. */
  begin(whom: string): Promise<((succeeded: boolean) => Promise<void>) | undefined>
}

export function loginAttempts(store: Store, clock: Clock): LoginAttempts {
  return {
    async begin(whom) {
      const minute = Math.floor(clock.now() / WINDOW)
      const id = `${hashId(whom)}/${minute}`
      const key = attempts.key(ALL_ACCOUNTS, id)
      // Expires one window after the last `add`: on an expired record it would create one that never expires.
      const first = attempts.create(ALL_ACCOUNTS, id, { units: 1 }, { expires: (minute + 2) * WINDOW })
      const increment = { op: 'add', key, field: 'units', by: 1, max: MAX_UNITS } as const
      if (!(await tryChange(store, first)) && !(await tryChange(store, increment))) return undefined
      return async succeeded => {
        const by = succeeded ? -1 : FAILURE - 1
        await store.transact([{ op: 'add', key, field: 'units', by }])
      }
    },
  }
}

async function tryChange(store: Store, change: Parameters<Store['transact']>[0][number]): Promise<boolean> {
  try {
    await store.transact([change])
    return true
  } catch (error) {
    if (error instanceof Conflict) return false
    throw error
  }
}
