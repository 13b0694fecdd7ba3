import type { ServiceStatus } from '../lib/contracts/conductor.ts'
import type { Driver } from '../lib/datastores/driver.ts'
import type { Clock, Log } from '../lib/kit/clock.ts'
import { reason } from '../lib/kit/errors.ts'

/** What the agent says of its database. */
export interface Health {
  status: ServiceStatus
  message?: string
}

/** How often a database that dies is started again before it is given up, and from when on it counts as well again. */
const STARTS = { most: 5, withinMs: 120_000 }
const BACK_OFF_MS = 500

/** Keeps the database server running, and tells every change of its health. */
export class Machine {
  readonly #driver: Driver
  readonly #clock: Clock
  readonly #log: Log
  readonly #changed: (health: Health) => void
  readonly #stopping = new AbortController()
  #health: Health = { status: 'building' }
  #watching = false

  constructor(driver: Driver, clock: Clock, log: Log, changed: (health: Health) => void) {
    this.#driver = driver
    this.#clock = clock
    this.#log = log
    this.#changed = changed
  }

  get health(): Health {
    return this.#health
  }

  /** The server runs (it was just prepared): watch it from now on. */
  serving(): void {
    this.set({ status: 'healthy' })
    if (this.#watching) return
    this.#watching = true
    // One that was given up is watched again when it serves again.
    void this.#watch().finally(() => {
      this.#watching = false
    })
  }

  /** Starts a prepared server after a restart of the agent, or adopts the one that runs. */
  async resume(): Promise<void> {
    this.set({ status: 'restarting' })
    if (await this.#started()) this.serving()
  }

  /** Stops the server cleanly. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#driver.stop()
    this.set({ status: 'shutdown' })
  }

  set(health: Health): void {
    const same = health.status === this.#health.status && health.message === this.#health.message
    this.#health = health
    if (!same) this.#changed(health)
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopping
    let failures: number[] = []
    while (!signal.aborted) {
      await this.#driver.ended(signal)
      if (signal.aborted) return
      this.#log.error({}, 'the database server ended by itself')
      this.set({ status: 'crashed', message: 'The database server ended unexpectedly; it is being started again.' })
      failures = [...failures.filter(at => at > this.#clock.now() - STARTS.withinMs), this.#clock.now()]
      if (failures.length >= STARTS.most) return this.#giveUp('it keeps ending')
      if (!(await this.#started())) return
      this.set({ status: 'healthy' })
    }
  }

  /** Whether the server could be started, within a bounded number of tries. */
  async #started(): Promise<boolean> {
    for (let attempt = 1; !this.#stopping.signal.aborted; attempt++) {
      try {
        await this.#driver.start()
        return true
      } catch (error) {
        this.#log.error({ attempt, error: reason(error) }, 'the database server does not start')
        if (attempt >= STARTS.most) {
          this.#giveUp(reason(error))
          return false
        }
        this.set({ status: 'crashed', message: `The database server does not start: ${reason(error)}` })
        await this.#clock.sleep(BACK_OFF_MS * 2 ** attempt, this.#stopping.signal)
      }
    }
    return false
  }

  #giveUp(why: string): void {
    this.set({ status: 'failed', message: `The database server was given up: ${why}` })
  }
}
