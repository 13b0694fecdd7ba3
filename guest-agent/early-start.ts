import { type Driver, Refused } from '../lib/datastores/driver.ts'
import type { Clock, Log } from '../lib/kit/clock.ts'
import { reason } from '../lib/kit/errors.ts'

/** How often a server that dies while it is prepared is prepared again. */
const TRIES = 4
const PAUSE_MS = 250

/**
 * The driver, its server being started already while the agent enrols. `prepare` waits for that, and is done again
 * when the server dies under it: nobody watches over it yet.
 */
export function startedEarly(driver: Driver, clock: Clock, log: Log): Driver {
  const early = driver.start().catch(error => log.warn({ error: reason(error) }, 'the server did not start yet'))
  return {
    ...driver,
    async start() {
      await early
      await driver.start()
    },
    async prepare(input) {
      await early
      for (let attempt = 1; ; attempt++) {
        try {
          return await driver.prepare(input)
        } catch (error) {
          if (error instanceof Refused || attempt === TRIES) throw error
          log.warn({ attempt, error: reason(error) }, 'not prepared')
        }
        await clock.sleep(PAUSE_MS * 2 ** attempt)
      }
    },
  }
}
