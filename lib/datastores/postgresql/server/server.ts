import { copyFile, realpath, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { kill } from 'node:process'
import { SerialQueue } from '../../../kit/async/serial.ts'
import { elapsedMs } from '../../../kit/clock.ts'
import { isAlive, type ProcessRef, processRef } from '../../../kit/os/process.ts'
import type { DriverContext } from '../../driver.ts'
import { clusterPaths, spawnServer } from '../cluster/cluster.ts'
import { readText, unlessMissing } from '../cluster/files.ts'
import { canFindProcesses, findServer, findServers } from '../cluster/process.ts'
import { hasSocket, socketName } from '../cluster/socket.ts'
import { writeConfiguration } from './configuration.ts'

const POLL_MS = 5
const EXIT_POLL_MS = 200
/** Crash recovery may read much; past this the start has failed. */
const START_LIMIT_MS = 15 * 60_000
const FAST_STOP_LIMIT_MS = 30_000
const HARD_STOP_LIMIT_MS = 15_000
const CHILDREN_LIMIT_MS = 5_000
const LOG_LIMIT_BYTES = 10 * 1024 * 1024

/** The state of a running server, from the last line of its pid file. */
type Phase = 'starting' | 'ready' | 'stopping' | undefined

type Signal = 'SIGHUP' | 'SIGINT' | 'SIGQUIT' | 'SIGKILL'

/** The reason on a line of its own, and what the server wrote. */
function startFailure(output: string): string {
  // Before it has read its control file, the server reports errors without FATAL.
  const reason = [...output.matchAll(/(?:FATAL|PANIC): +(.*)/g)].at(-1)?.[1] ?? output.split('\n')[0]
  return `the server did not start: ${reason}\n${output}`
}

async function sendSignal(process: ProcessRef, name: Signal): Promise<void> {
  if (await isAlive(process)) kill(process.pid, name)
}

/** The server process of a volume: starts it, finds it again, stops it. It knows nothing of SQL. */
export class PostgresqlServer {
  readonly #context: DriverContext
  readonly #data: string
  readonly #log: string
  readonly #pidFile: string
  /** The process as it was found last: its directory may have been removed since. */
  #lastProcess: ProcessRef | undefined
  readonly #configurations = new SerialQueue()
  #starting: Promise<void> = Promise.resolve()

  constructor(context: DriverContext) {
    const { data, log } = clusterPaths(context.volume)
    this.#context = context
    this.#data = data
    this.#log = log
    this.#pidFile = join(data, 'postmaster.pid')
  }

  /** The server that runs on this data directory, whoever started it. */
  async findProcess(): Promise<ProcessRef | undefined> {
    const pid = Number((await this.#pidLines())[0])
    const directory = await unlessMissing(realpath(this.#data))
    const process = pid > 0 && directory ? await findServer(pid, directory) : undefined
    this.#lastProcess = process ?? this.#lastProcess
    return process
  }

  /**
   * Starts the server, or adopts the one that runs; resolves once it is ready. Throws with the reason and its last log
   * lines.
   */
  start(): Promise<void> {
    this.#starting = this.#start()
    return this.#starting
  }

  async #start(): Promise<void> {
    const running = await this.findProcess()
    if (running && (await this.#adopt(running))) return
    await this.#removeRemains()
    await this.configure()
    await this.boundLog()
    await this.#launch()
  }

  /**
   * Waits until a running server is ready; false if it ended meanwhile. One of an earlier version has no socket for its
   * agent: it is stopped.
   */
  async #adopt(running: ProcessRef): Promise<boolean> {
    const isDecided = async () => (await this.#phase()) === 'ready' || !(await isAlive(running))
    if (!(await this.#waitUntil(START_LIMIT_MS, isDecided))) {
      throw new Error('the server that runs does not become ready')
    }
    this.#context.log.info({ pid: running.pid }, 'found a running server')
    if (!(await isAlive(running))) return false
    if (await hasSocket(this.#data, this.#context.port)) return true
    this.#context.log.warn({ pid: running.pid }, 'restarting the server, which has no socket for its agent')
    await this.stop()
    return false
  }

  async #launch(): Promise<void> {
    const logSize = (await unlessMissing(stat(this.#log)))?.size ?? 0
    const running = await processRef(await spawnServer(this.#context.engine, this.#context.volume, this.#context.owner))
    this.#lastProcess = running ?? this.#lastProcess
    const hasEnded = async () => !running || !(await isAlive(running))
    const isReady = async () =>
      Number((await this.#pidLines())[0]) === running?.pid && (await this.#phase()) === 'ready'
    const isDecided = await this.#waitUntil(START_LIMIT_MS, async () => (await hasEnded()) || (await isReady()))
    if (!isDecided || (await hasEnded())) throw new Error(startFailure(await this.#lastLines(logSize)))
  }

  /**
   * Stops the server cleanly; nothing happens if none runs. One that is too slow is ended at once, and will recover.
   */
  async stop(): Promise<void> {
    const running = (await this.findProcess()) ?? this.#lastProcess
    if (!running) return
    const hasEnded = async () => !(await isAlive(running))
    await sendSignal(running, 'SIGINT')
    if (await this.#waitUntil(FAST_STOP_LIMIT_MS, hasEnded)) return
    this.#context.log.warn(
      { pid: running.pid },
      'the server did not stop in time; it is ended at once and will recover',
    )
    await sendSignal(running, 'SIGQUIT')
    if (!(await this.#waitUntil(HARD_STOP_LIMIT_MS, hasEnded))) throw new Error('the server does not stop')
  }

  /** Resolves when the server that runs at the call has ended, or `signal` is aborted. */
  async exited(signal: AbortSignal): Promise<void> {
    const running = await this.findProcess()
    while (running && !signal.aborted && (await isAlive(running))) await this.#context.clock.sleep(EXIT_POLL_MS, signal)
  }

  /** Writes the server's configuration files for the current state. */
  configure(): Promise<void> {
    return this.#configurations.run(() => writeConfiguration(this.#context))
  }

  /** Makes the server read its files again. While it starts, it may have read them already: then once it is ready. */
  async reload(): Promise<void> {
    await this.#starting.catch(() => {})
    const running = await this.findProcess()
    if (running) await sendSignal(running, 'SIGHUP')
  }

  /** Keeps the log from filling the volume. The server appends, so it goes on at the beginning of the emptied file. */
  async boundLog(): Promise<void> {
    const size = (await unlessMissing(stat(this.#log)))?.size ?? 0
    if (size <= LOG_LIMIT_BYTES) return
    await copyFile(this.#log, `${this.#log}.1`)
    await truncate(this.#log)
  }

  async #pidLines(): Promise<string[]> {
    return (await readText(this.#pidFile))?.split('\n') ?? []
  }

  async #phase(): Promise<Phase> {
    const word = (await this.#pidLines())[7]?.trim()
    if (word === 'starting' || word === 'stopping') return word
    return word ? 'ready' : undefined
  }

  /** Waits until the condition holds; false if it still does not after `limitMs`. */
  async #waitUntil(limitMs: number, condition: () => Promise<boolean>): Promise<boolean> {
    const { clock } = this.#context
    const start = clock.now()
    while (!(await condition())) {
      if (elapsedMs(clock.now(), start) >= limitMs) return false
      await clock.sleep(POLL_MS)
    }
    return true
  }

  /**
   * Ends what a killed server left: its children, which hold its memory, and its pid files, whose pid may be another's.
   */
  async #removeRemains(): Promise<void> {
    const children = await findServers(await realpath(this.#data))
    const haveEnded = async () => !(await Promise.all(children.map(isAlive))).includes(true)
    for (const name of ['SIGQUIT', 'SIGKILL'] as const) {
      await Promise.all(children.map(child => sendSignal(child, name)))
      if (await this.#waitUntil(CHILDREN_LIMIT_MS, haveEnded)) break
    }
    if (!canFindProcesses) return
    const socketLock = join(this.#data, `${socketName(this.#context.port)}.lock`)
    for (const file of [this.#pidFile, socketLock]) await rm(file, { force: true })
  }

  async #lastLines(fromByte: number): Promise<string> {
    const text = (await readText(this.#log)) ?? ''
    return Buffer.from(text).subarray(fromByte).toString().trim().split('\n').slice(-20).join('\n')
  }
}
