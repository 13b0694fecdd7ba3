import type { ServiceStatus } from '../lib/contracts/conductor.ts'
import type { Driver, Service } from '../lib/datastores/driver.ts'
import type { Clock, Log } from '../lib/kit/clock.ts'
import { reason } from '../lib/kit/errors.ts'

/** What the agent says of its database. */
export interface Health {
  status: ServiceStatus
  message?: string
}

/** Whether the database was stopped on purpose; on the disk when `set` resolves, so that it outlives the agent. */
export interface Stopped {
  is(): Promise<boolean>
  set(stopped: boolean): Promise<void>
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
  readonly #stopped: Stopped
  readonly #stopping = new AbortController()
  #health: Health = { status: 'building' }
  /** Ends the watch over the server. */
  #watching: AbortController | undefined
  /** What is done to the server on purpose, one after the other. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(driver: Driver, clock: Clock, log: Log, changed: (health: Health) => void, stopped: Stopped) {
    this.#driver = driver
    this.#clock = clock
    this.#log = log
    this.#changed = changed
    this.#stopped = stopped
  }

  get health(): Health {
    return this.#health
  }

  /** The server runs (it was just prepared): watch it from now on. */
  serving(): void {
    this.set({ status: 'healthy' })
    if (this.#watching) return
    const watching = new AbortController()
    this.#watching = watching
    // One that was given up is watched again when it serves again.
    void this.#watch(AbortSignal.any([this.#stopping.signal, watching.signal])).finally(() => {
      if (this.#watching === watching) this.#watching = undefined
    })
  }

  /** What is done to the server on purpose; `refresh` has the driver take on what the machine has become. */
  service(refresh: () => Promise<void>): Service {
    const again = (change?: () => Promise<void>) => this.#deliberately(() => this.#startAgain(change))
    return {
      restart: () => again(),
      stop_db: () =>
        this.#deliberately(async () => {
          await this.#driver.stop()
          // An agent that died before this is told to stop it again.
          await this.#stopped.set(true)
          this.set({ status: 'shutdown' })
        }),
      start_db_with_conf_changes: () => again(refresh),
      upgrade: () => again(refresh),
      rebuild: () =>
        this.#deliberately(async () => {
          await this.#driver.start()
          this.serving()
        }),
    }
  }

  async #startAgain(change?: () => Promise<void>): Promise<void> {
    this.set({ status: 'restarting' })
    await this.#stopped.set(false)
    await this.#driver.stop()
    await change?.()
    try {
      await this.#driver.start()
    } catch (error) {
      this.set({ status: 'crashed', message: reason(error) })
      // Whoever asked is told; the server is tried to be started all the same.
      this.#keepTrying()
      throw error
    }
    this.serving()
  }

  #keepTrying(): void {
    const trying = new AbortController()
    this.#watching = trying
    void this.#inTurn(() => this.#started(AbortSignal.any([this.#stopping.signal, trying.signal]))).then(started => {
      if (!started || this.#watching !== trying) return
      this.#watching = undefined
      this.serving()
    })
  }

  /** The watch looks away meanwhile: an end of the server is meant. */
  #deliberately(work: () => Promise<void>): Promise<void> {
    this.#lookAway()
    return this.#inTurn(async () => {
      if (this.#stopping.signal.aborted) throw new Error('the agent is ending')
      // What had its turn before may have begun to watch.
      this.#lookAway()
      await work()
    })
  }

  #lookAway(): void {
    this.#watching?.abort()
    this.#watching = undefined
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work)
    this.#turn = mine.catch(() => undefined)
    return mine
  }

  /** Starts a prepared server after a restart of the agent, or adopts the one that runs; one stopped on purpose stays so. */
  async resume(): Promise<void> {
    this.set({ status: 'restarting' })
    await this.#deliberately(async () => {
      if (await this.#stopped.is()) this.set({ status: 'shutdown' })
      else if (await this.#started(this.#stopping.signal)) this.serving()
    })
  }

  /** Stops the server cleanly. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#watching?.abort()
    // Not in turn: a start that takes long is ended by it.
    await this.#driver.stop()
    this.set({ status: 'shutdown' })
  }

  set(health: Health): void {
    const same = health.status === this.#health.status && health.message === this.#health.message
    this.#health = health
    if (!same) this.#changed(health)
  }

  async #watch(signal: AbortSignal): Promise<void> {
    let failures: number[] = []
    while (!signal.aborted) {
      await this.#driver.ended(signal)
      if (signal.aborted) return
      this.#log.error({}, 'the database server ended by itself')
      this.set({ status: 'crashed', message: 'The database server ended unexpectedly; it is being started again.' })
      failures = [...failures.filter(at => at > this.#clock.now() - STARTS.withinMs), this.#clock.now()]
      if (failures.length >= STARTS.most) return this.#giveUp('it keeps ending')
      // A restart that is asked for meanwhile waits for this try, and then does its own.
      if (!(await this.#inTurn(() => this.#started(signal)))) return
      this.set({ status: 'healthy' })
    }
  }

  /** Whether the server could be started, within a bounded number of tries. */
  async #started(signal: AbortSignal): Promise<boolean> {
    for (let attempt = 1; !signal.aborted; attempt++) {
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
        await this.#clock.sleep(BACK_OFF_MS * 2 ** attempt, signal)
      }
    }
    return false
  }

  #giveUp(why: string): void {
    this.set({ status: 'failed', message: `The database server was given up: ${why}` })
  }
}
