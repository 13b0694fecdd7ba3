import { SerialQueue } from '../lib/kit/async/serial.ts'

/**
 * Runs one task at a time for each instance, in the order in which they were added; instances do not wait for each
 * other.
 */
export class InstanceQueues {
  readonly #queues = new Map<string, { queue: SerialQueue; unfinished: number }>()

  async run<T>(instance: string, task: () => Promise<T>): Promise<T> {
    const entry = this.#queues.get(instance) ?? { queue: new SerialQueue(), unfinished: 0 }
    this.#queues.set(instance, entry)
    entry.unfinished += 1
    try {
      return await entry.queue.run(task)
    } finally {
      entry.unfinished -= 1
      if (entry.unfinished === 0) this.#queues.delete(instance)
    }
  }

  isBusy(instance: string): boolean {
    return this.#queues.has(instance)
  }

  /** Resolves when every task that was added by now has ended, however it ended. */
  async idle(): Promise<void> {
    await Promise.all([...this.#queues.values()].map(({ queue }) => queue.run(async () => {})))
  }
}
