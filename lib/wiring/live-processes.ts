import type { Clock, Log } from '../kit/clock.ts'
import { messageOf } from '../kit/errors.ts'
import { recordType } from '../kit/records.ts'
import type { Store } from '../ports/store.ts'

/** Which processes of the control plane are alive: each keeps a record that expires soon after it ends. */
export interface LiveProcesses {
  /** False only if a poll that began after the first question did not find the process. */
  isProcessAlive(processId: string): boolean
  /** Sets what is called when another process has ended, once all processes must have noticed. */
  onEnd(announce: () => Promise<void>): void
  /** Removes this process's record. */
  close(): Promise<void>
}

interface LiveProcessesOptions {
  store: Store
  clock: Clock
  log: Log
  /** Names this start of the process. */
  processId: string
}

/** A record outlives three failed polls. */
const TTL_MS = 30_000
const POLL_MS = 5_000
const MAX_PROCESSES = 1_000

const ID_PREFIX = 'boot#'
const processRecords = recordType<{ at: number }>('boot')

/** Resolves once this process's record is written: nobody meets a lease of a process without a record. */
export async function watchLiveProcesses(options: LiveProcessesOptions): Promise<LiveProcesses> {
  const processes = new ProcessWatch(options)
  await processes.start()
  return processes
}

class ProcessWatch implements LiveProcesses {
  readonly #options: LiveProcessesOptions
  readonly #stopping = new AbortController()
  #live = new Set<string>()
  /** Processes that were not found, with the time of the first question; -Infinity for those that were seen to end. */
  readonly #missing = new Map<string, number>()
  #lastPoll = 0
  #announce: (() => Promise<void>) | undefined
  #polling: Promise<void> = Promise.resolve()

  constructor(options: LiveProcessesOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    await this.#poll()
    this.#polling = this.#pollUntilClosed()
  }

  isProcessAlive(processId: string): boolean {
    if (processId === this.#options.processId || this.#live.has(processId)) return true
    const firstAsked = this.#missing.get(processId) ?? this.#options.clock.now()
    this.#missing.set(processId, firstAsked)
    return this.#lastPoll <= firstAsked
  }

  onEnd(announce: () => Promise<void>): void {
    this.#announce = announce
  }

  async close(): Promise<void> {
    const { store, processId } = this.#options
    this.#stopping.abort()
    await this.#polling
    await store.transact([{ op: 'delete', key: processRecords.key('*', processId) }])
  }

  async #pollUntilClosed(): Promise<void> {
    const { clock, log } = this.#options
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await clock.sleep(POLL_MS, signal)
      if (signal.aborted) return
      await this.#poll().catch(error => log.warn({ error: messageOf(error) }, 'failed to read the live processes'))
    }
  }

  async #poll(): Promise<void> {
    const { store, clock, processId } = this.#options
    const now = clock.now()
    const key = processRecords.key('*', processId)
    await store.transact([{ op: 'put', key, body: { at: now }, expires: now + TTL_MS }])
    const { items } = await processRecords.all(store, { limit: MAX_PROCESSES })
    const live = new Set(items.map(item => item.key.id.slice(ID_PREFIX.length)))
    const ended = [...this.#live].filter(previous => !live.has(previous))
    this.#live = live
    this.#lastPoll = now
    for (const previous of ended) this.#missing.set(previous, Number.NEGATIVE_INFINITY)
    for (const current of live) this.#missing.delete(current)
    if (ended.length > 0) void this.#announceEnd()
  }

  /** Waits until all other processes have polled, too. */
  async #announceEnd(): Promise<void> {
    const { clock, log } = this.#options
    const { signal } = this.#stopping
    await clock.sleep(2 * POLL_MS, signal)
    if (signal.aborted) return
    await this.#announce?.().catch(error =>
      log.warn({ error: messageOf(error) }, 'failed to announce an ended process'),
    )
  }
}
