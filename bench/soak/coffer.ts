import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ProcessRef, processRef } from '../../lib/kit/os/process.ts'
import { type LaunchedProcess, launchInto } from '../../test/e2e/coffer.ts'
import { killProcess } from './processes.ts'

const READY_MS = 120_000
const STOP_MS = 90_000
/** As systemd does by default. */
const RESTART_MS = 100

/** A time in which the control plane could not answer; without an end it is still so. */
interface Outage {
  from: number
  to?: number
}

interface SoakedCofferOptions {
  dataDir: string
  /** Where each start of the control plane gets a file for its output. */
  logDir: string
  onProblem(what: string): void
  /** Starts a control plane with these arguments, and its output in this file. */
  launch?(args: string[], file: string): LaunchedProcess
}

/** A real Coffer whose control plane is started again whenever it ends, as a service manager does. */
export class SoakedCoffer {
  readonly #options: SoakedCofferOptions
  readonly #outages: Outage[] = []
  #starts = 0
  #port = 0
  #launched: LaunchedProcess | undefined
  #control: ProcessRef | undefined
  #wasKilled = false
  #stopping = false

  constructor(options: SoakedCofferOptions) {
    this.#options = options
  }

  /** Starts it. Resolves once it serves. */
  async start(): Promise<void> {
    this.#outages.push({ from: Date.now() })
    await this.#launch()
  }

  get base(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get dataDir(): string {
    return this.#options.dataDir
  }

  get starts(): number {
    return this.#starts
  }

  /** The process of the control plane; undefined while there is none. */
  get control(): ProcessRef | undefined {
    return this.#control
  }

  /** Kills the control plane. Returns whether there was one. */
  async kill(): Promise<boolean> {
    const control = this.#control
    if (!control || this.#wasKilled) return false
    this.#wasKilled = true
    this.#openOutage()
    this.#wasKilled = await killProcess(control)
    return this.#wasKilled
  }

  /** Whether there was a moment between these times at which it could not answer. */
  wasAway(from: number, to: number): boolean {
    return this.#outages.some(outage => outage.from <= to && (outage.to ?? Number.POSITIVE_INFINITY) >= from)
  }

  /** Stops it in order, or kills it where that takes too long. Resolves to its exit code. */
  async stop(): Promise<number | null> {
    this.#stopping = true
    const { child, exited } = this.#launched ?? {}
    child?.kill('SIGTERM')
    const timer = setTimeout(() => child?.kill('SIGKILL'), STOP_MS)
    const code = await exited
    clearTimeout(timer)
    return code ?? null
  }

  #openOutage(): void {
    if (this.#outages.at(-1)?.to !== undefined) this.#outages.push({ from: Date.now() })
  }

  async #launch(): Promise<void> {
    const { dataDir, logDir, launch = launchInto } = this.#options
    const args = ['--data-dir', dataDir, '--port', String(this.#port), '--rate', '0']
    const launched = launch(args, join(logDir, `control-${++this.#starts}.log`))
    this.#launched = launched
    this.#control = await processRef(launched.child.pid ?? 0)
    void launched.exited.then(code => this.#ended(code))
    const end = Date.now() + READY_MS
    while (launched.child.exitCode === null && launched.child.signalCode === null) {
      const port = /^ready http:\S+:(\d+)$/m.exec(launched.output())?.[1]
      if (port !== undefined) {
        this.#port = Number(port)
        const outage = this.#outages.at(-1)
        // It may have been killed as soon as it was ready.
        if (outage && !this.#wasKilled) outage.to ??= Date.now()
        return
      }
      if (Date.now() > end) throw new Error('the control plane does not become ready')
      await sleep(50)
    }
    if (this.#starts === 1) throw new Error(`coffer ended:\n${launched.output()}`)
  }

  async #ended(code: number | null): Promise<void> {
    this.#control = undefined
    if (this.#stopping) return
    this.#openOutage()
    if (!this.#wasKilled) this.#options.onProblem(`the control plane ended by itself with ${code}`)
    this.#wasKilled = false
    await sleep(RESTART_MS)
    if (this.#stopping) return
    await this.#launch().catch(error => this.#options.onProblem(`the control plane was not started: ${error}`))
  }
}
