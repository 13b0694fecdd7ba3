import { RejectedByDatastore, type Server, type ServerControl } from '../lib/datastores/driver.ts'
import { type Clock, elapsedMs, type Log } from '../lib/kit/clock.ts'
import { messageOf } from '../lib/kit/errors.ts'
import type { DatabaseSupervisor, Health } from './supervisor.ts'

interface VolumeGuardParts {
  driver: Pick<Server, 'used_bytes' | 'set_read_only'>
  supervisor: Pick<DatabaseSupervisor, 'health' | 'stopFor' | 'resume' | 'announce'>
  /** The volume's size now; undefined where a file system of its own is the limit. */
  sizeBytes(): number | undefined
  /** What is free on the disk that the volume is on: cheap. */
  freeBytes(): number
  clock: Clock
  log: Log
}

/** Shares of the volume: from where on it is read-only, below which no more; where it is stopped, and may start again. */
const READ_ONLY = { from: 0.95, below: 0.9 }
const STOP = { from: 1.1, below: 1.05 }

const TICK_MS = 500
/** How often the files are counted, by the share that they use. */
const COUNT_EVERY = [
  { from: READ_ONLY.below, ms: TICK_MS },
  { from: 0.5, ms: 2_000 },
  { from: 0, ms: 10_000 },
]
/** Counting a large volume takes long: it may take at most this part of the time. */
const MAX_LOAD = 0.05
/** They are counted at once when the disk has lost this part of what the volume may still take, or as many bytes. */
const LOSS = { share: 0.25, minBytes: 16 * 1024 * 1024 }

/** After a restart of a stopped database its owner has this time to delete, and may write as much. */
const GRACE_MS = 15 * 60_000
const GRACE = { share: 0.01, minBytes: 64 * 1024 * 1024 }
const MAX_GRACES = 10

interface Count {
  at: number
  tookMs: number
  used: number
  size: number
  free: number
}

/** Makes the size of a volume a limit: transactions become read-only, then the database is stopped. */
export class VolumeGuard {
  readonly #parts: VolumeGuardParts
  #count: Count | undefined
  #isReadOnly = false
  #isStopped = false
  /** What the owner is told while the database serves. */
  #notice: string | undefined
  #grace: { until: number; maxBytes: number } | undefined
  #graces = 0

  constructor(parts: VolumeGuardParts) {
    this.#parts = parts
  }

  /** The health of the database, and whether its volume is full. */
  health(): Health {
    const { health } = this.#parts.supervisor
    return this.#notice !== undefined && health.status === 'healthy' ? { ...health, message: this.#notice } : health
  }

  /** The bytes in use, as counted lately. */
  async usedBytes(): Promise<number> {
    const { clock, driver } = this.#parts
    const isRecent = this.#count && elapsedMs(clock.now(), this.#count.at) <= 10_000
    return isRecent && this.#count ? this.#count.used : driver.used_bytes()
  }

  /** Starts the database of an agent that starts, unless its volume is too full. */
  async resume(): Promise<void> {
    const { sizeBytes, supervisor } = this.#parts
    const size = sizeBytes()
    if (size !== undefined) await this.#tryOrLog(async () => this.#apply(await this.#measure(size)))
    if (!this.#isStopped) await supervisor.resume()
  }

  /** Watches the volume until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#tryOrLog(() => this.#check())
      await this.#parts.clock.sleep(TICK_MS, signal)
    }
  }

  /** Control of the server, by which its owner may start one that was stopped. */
  control(inner: ServerControl): ServerControl {
    const allowed =
      <I>(start: (input: I) => Promise<void>) =>
      async (input: I) => {
        this.#allowStart()
        await start(input)
      }
    const { stop_db, restart, start_db_with_conf_changes, upgrade, rebuild } = inner
    return {
      stop_db,
      restart: allowed(restart),
      start_db_with_conf_changes: allowed(start_db_with_conf_changes),
      upgrade: allowed(upgrade),
      rebuild: allowed(rebuild),
    }
  }

  #allowStart(): void {
    const { clock } = this.#parts
    if (!this.#isStopped || !this.#count) return
    const { used, size } = this.#count
    if (this.#graces >= MAX_GRACES) {
      throw new RejectedByDatastore(422, `The volume is ${percent(this.#count)} full: it has to be made larger first.`)
    }
    this.#graces += 1
    const mayWrite = Math.max(GRACE.minBytes, size * GRACE.share)
    this.#grace = { until: clock.now() + GRACE_MS, maxBytes: used + mayWrite }
    this.#isStopped = false
  }

  async #check(): Promise<void> {
    const size = this.#parts.sizeBytes()
    if (size === undefined || !this.#isDue(size)) return
    const count = await this.#measure(size)
    if (!this.#isStopped) {
      if (isServing(this.#parts.supervisor.health)) await this.#apply(count)
    } else if (count.used < size * STOP.below) {
      await this.#limit(count)
      this.#isStopped = false
      await this.#parts.supervisor.resume()
    }
  }

  #isDue(size: number): boolean {
    const { clock, freeBytes } = this.#parts
    if (!this.#count || this.#count.size !== size) return true
    const { at, tookMs, used, free } = this.#count
    const share = this.#isStopped ? 0 : used / size
    const { ms = 0 } = COUNT_EVERY.find(({ from }) => share >= from) ?? {}
    if (elapsedMs(clock.now(), at) >= Math.max(ms, tookMs / MAX_LOAD)) return true
    const mayTake = (size * READ_ONLY.from - used) * LOSS.share
    return free - freeBytes() >= Math.max(LOSS.minBytes, mayTake)
  }

  async #measure(size: number): Promise<Count> {
    const { clock, driver, freeBytes } = this.#parts
    const free = freeBytes()
    const started = clock.now()
    const used = await driver.used_bytes()
    this.#count = { at: started, tookMs: elapsedMs(clock.now(), started), used, size, free }
    return this.#count
  }

  /** Stops the database if that is due; else limits or lifts. */
  async #apply(count: Count): Promise<void> {
    const mustStop = count.used >= count.size * STOP.from && !this.#isInGrace(count)
    // A server that cannot be told, because the disk is full, is stopped nevertheless.
    await (mustStop ? this.#tryOrLog(() => this.#limit(count)) : this.#limit(count))
    if (!mustStop) return
    this.#isStopped = true
    this.#parts.log.warn({ used: count.used, size: count.size }, 'stopping the database: its volume is too full')
    await this.#parts.supervisor.stopFor(stopMessage(count))
    // What was under way has been rolled back, and its space may be free now.
    await this.#measure(count.size)
  }

  #isInGrace({ used }: Count): boolean {
    return this.#grace !== undefined && this.#parts.clock.now() < this.#grace.until && used <= this.#grace.maxBytes
  }

  /** Makes transactions read-only, or lifts that. */
  async #limit(count: Count): Promise<void> {
    const share = count.used / count.size
    if (share < READ_ONLY.from) {
      this.#grace = undefined
      this.#graces = 0
    }
    const isReadOnly = share >= (this.#isReadOnly ? READ_ONLY.below : READ_ONLY.from)
    const { driver } = this.#parts
    if (isReadOnly === this.#isReadOnly || !driver.set_read_only) return
    await driver.set_read_only(isReadOnly)
    this.#isReadOnly = isReadOnly
    this.#notice = isReadOnly ? readOnlyMessage(count) : undefined
    this.#parts.log.info({ isReadOnly, used: count.used, size: count.size }, 'the volume is limited anew')
    this.#parts.supervisor.announce()
  }

  async #tryOrLog(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#parts.log.warn({ error: messageOf(error) }, 'limiting the volume failed')
    }
  }
}

/** What else a database is has its own reason: it is being prepared or restarted, was stopped, or was given up. */
const isServing = ({ status }: Health) => status === 'healthy' || status === 'running' || status === 'crashed'

const percent = ({ used, size }: Count) => `${Math.floor((100 * used) / size)} %`

const readOnlyMessage = (count: Count) =>
  `The volume is ${percent(count)} full: transactions are read-only. Make the volume larger, or delete data in a session ` +
  'that has set default_transaction_read_only to off. This ends below 90 %.'

const stopMessage = (count: Count) =>
  `The database was stopped: its volume is ${percent(count)} full. Make the volume larger; or restart the instance and ` +
  'delete data within 15 minutes, in a session that has set default_transaction_read_only to off.'
