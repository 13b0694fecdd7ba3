import { type AnyDriver, RejectedByDatastore } from '../lib/datastores/driver.ts'
import { backOffMs } from '../lib/kit/async/back-off.ts'
import type { Clock, Log } from '../lib/kit/clock.ts'
import { messageOf } from '../lib/kit/errors.ts'

/** How often a server that dies while it is prepared is prepared again. */
const TRIES = 4
const RETRY = { firstMs: 500, maxMs: 2_000 }

/**
 * Starts the driver's server at once, while the agent enrols. The returned driver waits for that start in `prepare`,
 * and retries `prepare` if the server dies during it: nobody supervises the server yet.
 */
export function startBeforeEnrolment(driver: AnyDriver, clock: Clock, log: Log): AnyDriver {
  const start = driver.start().catch(error => log.warn({ error: messageOf(error) }, 'the early start failed'))
  return {
    ...driver,
    async start() {
      await start
      await driver.start()
    },
    async prepare(input) {
      await start
      for (let attempt = 1; ; attempt++) {
        try {
          return await driver.prepare(input)
        } catch (error) {
          if (error instanceof RejectedByDatastore || attempt === TRIES) throw error
          log.warn({ attempt, error: messageOf(error) }, 'prepare failed')
        }
        await clock.sleep(backOffMs(attempt, RETRY))
      }
    },
  }
}
