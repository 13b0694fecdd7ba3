import type { ServiceStatus } from '../lib/contracts/conductor.ts'
import type { Server, ServerControl } from '../lib/datastores/driver.ts'
import { backOffMs } from '../lib/kit/async/back-off.ts'
import { SerialQueue } from '../lib/kit/async/serial.ts'
import { type Clock, elapsedMs, type Log } from '../lib/kit/clock.ts'
import { messageOf } from '../lib/kit/errors.ts'
import type { StopMark } from './stop-mark.ts'

/** The health of the database, as the agent reports it. */
export interface Health {
  status: ServiceStatus
  message?: string
}

interface SupervisorParts {
  driver: Server
  clock: Clock
  log: Log
  stopMark: StopMark
}

/** A database that ends this often within this time is given up; so is one that cannot be started in as many tries. */
const STARTS = { max: 5, withinMs: 120_000 }
const RETRY = { firstMs: 1_000, maxMs: 8_000 }

/** Keeps the database server running, and tells its listener every change of its health. */
export class DatabaseSupervisor {
  readonly #driver: Server
  readonly #clock: Clock
  readonly #log: Log
  readonly #stopMark: StopMark
  readonly #stopping = new AbortController()
  #health: Health = { status: 'building' }
  #listener: (health: Health) => void = () => {}
  /** Ends the watch over the server, or the tries to start it. */
  #watch: AbortController | undefined
  /** Starts and stops of the server, one after the other. */
  readonly #queue = new SerialQueue()

  constructor({ driver, clock, log, stopMark }: SupervisorParts) {
    this.#driver = driver
    this.#clock = clock
    this.#log = log
    this.#stopMark = stopMark
  }

  get health(): Health {
    return this.#health
  }

  /** Calls the listener at every change of the health from now on. */
  listen(listener: (health: Health) => void): void {
    this.#listener = listener
  }

  setHealth(health: Health): void {
    const isSame = health.status === this.#health.status && health.message === this.#health.message
    this.#health = health
    if (!isSame) this.#listener(health)
  }

  /** Tells the listener, although the health is as it was. */
  announce(): void {
    this.#listener(this.#health)
  }

  /** The server runs (it was just prepared): watch it from now on. */
  markHealthy(): void {
    this.setHealth({ status: 'healthy' })
    if (this.#watch) return
    const watch = new AbortController()
    this.#watch = watch
    // After a server was given up, the next call watches it again.
    void this.#watchServer(AbortSignal.any([this.#stopping.signal, watch.signal])).finally(() => {
      if (this.#watch === watch) this.#watch = undefined
    })
  }

  /**
   * Intentional stops and starts of the server; `refresh` makes the driver use the machine's current flavor and engine.
   */
  control(refresh: () => Promise<void>): ServerControl {
    const restart = (change?: () => Promise<void>) => this.#exclusively(() => this.#restart(change))
    return {
      restart: () => restart(),
      stop_db: () => this.#exclusively(() => this.#stopOnPurpose()),
      start_db_with_conf_changes: () => restart(refresh),
      upgrade: () => restart(refresh),
      rebuild: () =>
        this.#exclusively(async () => {
          await this.#driver.start()
          this.markHealthy()
        }),
    }
  }

  /**
   * After a restart of the agent: starts the prepared server, or adopts a running one; one stopped on purpose stays so.
   */
  async resume(): Promise<void> {
    this.setHealth({ status: 'restarting' })
    await this.#exclusively(async () => {
      if (await this.#stopMark.isSet()) this.setHealth({ status: 'shutdown' })
      else if (await this.#startWithRetry(this.#stopping.signal)) this.markHealthy()
    })
  }

  /** Stops the server for that reason, until `resume` or a restart. */
  stopFor(message: string): Promise<void> {
    return this.#exclusively(async () => {
      await this.#driver.stop()
      this.setHealth({ status: 'shutdown', message })
    })
  }

  /** Stops the server cleanly, for good. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#watch?.abort()
    // Not in the queue: it ends a start that takes long.
    await this.#driver.stop()
    this.setHealth({ status: 'shutdown' })
  }

  async #stopOnPurpose(): Promise<void> {
    await this.#driver.stop()
    // If the agent dies before this, it gets the command again.
    await this.#stopMark.set(true)
    this.setHealth({ status: 'shutdown' })
  }

  async #restart(change?: () => Promise<void>): Promise<void> {
    this.setHealth({ status: 'restarting' })
    await this.#stopMark.set(false)
    await this.#driver.stop()
    await change?.()
    try {
      await this.#driver.start()
    } catch (error) {
      this.setHealth({ status: 'crashed', message: messageOf(error) })
      // The caller gets the error; the server is started in the background if possible.
      this.#keepStarting()
      throw error
    }
    this.markHealthy()
  }

  #keepStarting(): void {
    const watch = new AbortController()
    this.#watch = watch
    const signal = AbortSignal.any([this.#stopping.signal, watch.signal])
    void this.#queue
      .run(() => this.#startWithRetry(signal))
      .then(started => {
        if (!started || this.#watch !== watch) return
        this.#watch = undefined
        this.markHealthy()
      })
  }

  /** Pauses the watch meanwhile: these stops are intentional. */
  #exclusively(work: () => Promise<void>): Promise<void> {
    this.#pauseWatch()
    return this.#queue.run(async () => {
      if (this.#stopping.signal.aborted) throw new Error('the agent is ending')
      // The work before this one in the queue may have begun to watch.
      this.#pauseWatch()
      await work()
    })
  }

  #pauseWatch(): void {
    this.#watch?.abort()
    this.#watch = undefined
  }

  async #watchServer(signal: AbortSignal): Promise<void> {
    let failures: number[] = []
    while (!signal.aborted) {
      await this.#driver.exited(signal)
      if (signal.aborted) return
      this.#log.error({}, 'the database server ended unexpectedly')
      this.setHealth({
        status: 'crashed',
        message: 'The database server ended unexpectedly; it is being started again.',
      })
      failures = [...failures.filter(time => elapsedMs(this.#clock.now(), time) < STARTS.withinMs), this.#clock.now()]
      if (failures.length >= STARTS.max) return this.#giveUp('it keeps ending')
      // A restart that is requested meanwhile waits for this start, and then does its own.
      if (!(await this.#queue.run(() => this.#startWithRetry(signal)))) return
      this.setHealth({ status: 'healthy' })
    }
  }

  /** Whether the server could be started, within a bounded number of tries. */
  async #startWithRetry(signal: AbortSignal): Promise<boolean> {
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await this.#driver.start()
        return true
      } catch (error) {
        this.#log.error({ attempt, error: messageOf(error) }, 'the database server does not start')
        if (attempt >= STARTS.max) {
          this.#giveUp(messageOf(error))
          return false
        }
        this.setHealth({ status: 'crashed', message: `The database server does not start: ${messageOf(error)}` })
        await this.#clock.sleep(backOffMs(attempt, RETRY), signal)
      }
    }
    return false
  }

  #giveUp(reason: string): void {
    this.setHealth({ status: 'failed', message: `The database server was given up: ${reason}` })
  }
}
