import type { Log } from '../lib/kit/clock.ts'
import { messageOf } from '../lib/kit/errors.ts'

/** Ends a process in order: steps run once, one after the other, in the order in which they were added. */
export class Shutdown {
  readonly #log: Log
  readonly #exit: () => void
  readonly #controller = new AbortController()
  readonly #steps: { name: string; step: () => Promise<unknown> }[] = []

  constructor(log: Log, exit: () => void) {
    this.#log = log
    this.#exit = exit
  }

  /** Aborted when the shutdown begins. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  add(name: string, step: () => Promise<unknown>): void {
    this.#steps.push({ name, step })
  }

  /** A failed step is logged, and the next ones run all the same. */
  async run(): Promise<void> {
    if (this.signal.aborted) return
    this.#controller.abort()
    for (const { name, step } of this.#steps) {
      await step().catch(error => this.#log.error({ step: name, error: messageOf(error) }, 'a shutdown step failed'))
    }
    this.#exit()
  }
}
