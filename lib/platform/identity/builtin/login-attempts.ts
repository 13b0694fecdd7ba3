import { isIPv6 } from 'node:net'
import type { Clock } from '../../../kit/clock.ts'
import { withOptimisticRetry } from '../../../kit/records.ts'
import type { Change, Store } from '../../../ports/store.ts'
import { ALL_ACCOUNTS, attempts, hashId } from './records.ts'

const WINDOW = 60_000
/** Failures of a user from one network in one window after which even the right password is refused there. */
export const MAX_FAILURES = 10
/** The same from all networks together: wide, since whoever uses it up keeps the user out everywhere. */
export const MAX_USER_FAILURES = 100
/** Names that nobody has, remembered by this process; about 1 MB. */
const MAX_UNKNOWN = 10_000

/** Whose login it is, and from where. */
interface Login {
  whom: string
  address: string
  /** Whether there is such a user or credential. */
  exists: boolean
}

/** Counts the failures of each login per minute: of users in the store, for all processes; of made-up names here. */
interface LoginAttempts {
  areTooMany(login: Login): Promise<boolean>
  addFailure(login: Login): Promise<void>
}

export function loginAttempts(store: Store, clock: Clock): LoginAttempts {
  const unknown = new UnknownNames(clock)
  let lastWriteMs = 0
  return {
    async areTooMany(login) {
      const counters = countersOf(login, clock.now())
      // A made-up name is looked up as well, so that it takes as long.
      const records = await Promise.all(counters.map(({ id }) => attempts.get(store, ALL_ACCOUNTS, id)))
      if (!login.exists) return unknown.failures(counters[0].id) >= MAX_FAILURES
      return counters.some(({ max }, index) => (records[index]?.body.units ?? 0) >= max)
    },
    async addFailure(login) {
      const start = clock.now()
      const counters = countersOf(login, start)
      if (login.exists) {
        await withOptimisticRetry(store, async () => ({
          changes: await Promise.all(counters.map(({ id }) => increment(store, id, start))),
          result: undefined,
        }))
        lastWriteMs = clock.now() - start
        return
      }
      unknown.add(counters[0].id)
      // As long as a write: else the time would tell which names exist.
      if (lastWriteMs > 0) await clock.sleep(lastWriteMs)
    },
  }
}

/** The counter of the user from there, and that of the user. */
function countersOf({ whom, address }: Login, now: number) {
  const minute = Math.floor(now / WINDOW)
  return [
    { id: `${hashId(`${whom} from ${networkOf(address)}`)}/${minute}`, max: MAX_FAILURES },
    { id: `${hashId(whom)}/${minute}`, max: MAX_USER_FAILURES },
  ] as const
}

async function increment(store: Store, id: string, now: number): Promise<Change> {
  const record = await attempts.get(store, ALL_ACCOUNTS, id)
  if (record) return { op: 'add', key: record.key, field: 'units', by: 1 }
  // Expires a whole window late: an `add` to an expired record would create one that never expires.
  return attempts.create(ALL_ACCOUNTS, id, { units: 1 }, { expires: (Math.floor(now / WINDOW) + 2) * WINDOW })
}

/** An address; of IPv6 the /64, as one customer has all of that. */
function networkOf(address: string): string {
  const ipv4 = /^::ffff:([0-9.]+)$/i.exec(address)?.[1]
  if (ipv4 !== undefined || !isIPv6(address)) return ipv4 ?? address
  const [head = [], tail] = address.split('::', 2).map(part => part.split(':').filter(group => group !== ''))
  const zeros = tail ? Array.from({ length: 8 - head.length - tail.length }, () => '0') : []
  const groups = [...head, ...zeros, ...(tail ?? [])]
  return groups
    .slice(0, 4)
    .map(group => Number.parseInt(group, 16).toString(16))
    .join(':')
}

/** Failures of this window. Beyond a bound the oldest are forgotten. */
class UnknownNames {
  readonly #clock: Clock
  readonly #failures = new Map<string, number>()
  #window = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  failures(id: string): number {
    return this.#failures.get(id) ?? 0
  }

  add(id: string): void {
    const window = Math.floor(this.#clock.now() / WINDOW)
    if (window !== this.#window) this.#failures.clear()
    this.#window = window
    const [oldest] = this.#failures.size >= MAX_UNKNOWN ? this.#failures.keys() : []
    if (oldest !== undefined) this.#failures.delete(oldest)
    this.#failures.set(id, this.failures(id) + 1)
  }
}
