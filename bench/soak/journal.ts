import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Kind } from './processes.ts'

/** A kill, as it is remembered to explain what fails after it. */
export interface Kill {
  at: number
  kind: Kind
  instance?: string
}

/** An answer of the API, or that there was none. */
export interface Exchange {
  action: string
  method: string
  path: string
  from: number
  to: number
  /** 0 = no answer. */
  status: number
  requestId?: string
  text?: string
}

/** How long after a kill of one of its processes, or a request to restart it, an instance may be unable to answer. */
const INSTANCE_RECOVERY_MS = 60_000
/** How long after a kill of the control plane agents may be unable to reach it. */
const CONTROL_RECOVERY_MS = 10_000

/** Refusals that a valid request may get: the state of things has changed meanwhile. */
const REFUSALS = new Set([400, 404, 409, 413, 422])

const instanceIn = (path: string) => /\/instances\/([0-9a-f-]{36})/.exec(path)?.[1]

/** Whether a kill explains that a request was not answered well. The host daemon answers nobody. */
export function isExplained({ path, from, to }: Pick<Exchange, 'path' | 'from' | 'to'>, kills: Kill[]): boolean {
  return kills.some(({ at, kind, instance }) => {
    if (at > to) return false
    if (kind === 'control') return at >= from - CONTROL_RECOVERY_MS
    return instance !== undefined && instance === instanceIn(path) && at >= from - INSTANCE_RECOVERY_MS
  })
}

/** What happens in a soak: a file of it, counts, and what is wrong. It never gets a password. */
export class Journal {
  readonly problems: string[] = []
  /** What is worth to be read, and no problem. */
  readonly remarks: string[] = []
  readonly kills: Kill[] = []
  readonly #file: string
  readonly #counts = new Map<string, number>()
  /** When an operation on an instance was accepted last. */
  readonly #operations = new Map<string, number>()

  constructor(logDir: string) {
    this.#file = join(logDir, 'soak.log')
  }

  /** Counts by action and status, sorted by name. */
  get counts(): [string, number][] {
    return [...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1))
  }

  problem(what: string): void {
    this.problems.push(what)
    this.write({ problem: what })
  }

  remark(what: string): void {
    this.remarks.push(what)
    this.write({ remark: what })
  }

  kill(kill: Kill & { pid: number }): void {
    this.kills.push(kill)
    this.write({ kill: kill.kind, pid: kill.pid, ...(kill.instance !== undefined && { instance: kill.instance }) })
  }

  /** Notes an answer; one that nothing explains is a problem. `wasAway`: nobody could answer at some time of it. */
  exchange(exchange: Exchange, wasAway: boolean): void {
    const { action, method, path, status, requestId, text } = exchange
    const key = `${action} ${status === 0 ? 'no answer' : status}`
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    const failed = status === 0 || status >= 500
    this.write({ action, method, path, status, ms: exchange.to - exchange.from, requestId, ...(failed && { text }) })
    const words = `${action}: ${method} ${path} answered ${status || 'nothing'} (${requestId ?? ''}) ${text ?? ''}`
    if (status === 0) {
      if (!wasAway) this.problem(`${words}, though the control plane was there`)
      return
    }
    if (status === 202) this.#operations.set(instanceIn(path) ?? '', exchange.to)
    if (status < 400 || REFUSALS.has(status)) return
    const isExpected = wasAway || isExplained(exchange, this.kills) || this.#isUnderWay(exchange)
    if (status >= 500 && isExpected) this.remark(words)
    else this.problem(words)
  }

  /** Whether an agent may be silent because an operation restarts it. */
  #isUnderWay({ path, from, status }: Exchange): boolean {
    const accepted = this.#operations.get(instanceIn(path) ?? '')
    return status === 504 && accepted !== undefined && accepted >= from - INSTANCE_RECOVERY_MS
  }

  write(entry: Record<string, unknown>): void {
    appendFileSync(this.#file, `${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`)
  }
}
