import type { Driver } from '../lib/datastores/driver.ts'
import type { Clock } from '../lib/kit/clock.ts'

interface Parts {
  driver: Pick<Driver, 'wasLost'>
  clock: Clock
  health(): { status: string }
}

/** How often a wish whose database dies under it is tried again, how long each waits for it, and how often it looks. */
const TRIES = 3
const WAIT_MS = 30_000
/** Longer than the watch needs to notice. */
const LOOK_MS = 500

/** A database that dies under a command comes back, and a command may be repeated: it is, once that serves again. */
export async function patiently<T>({ driver, clock, health }: Parts, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (attempt >= TRIES || !driver.wasLost?.(error)) throw error
    }
    const end = clock.now() + WAIT_MS
    do {
      await clock.sleep(LOOK_MS)
    } while (!serves(health().status) && clock.now() < end)
  }
}

const serves = (status: string) => status === 'healthy' || status === 'running'
