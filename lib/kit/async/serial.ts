/**
 * Runs tasks one after the other, in the order in which they were added. A task that fails rejects its own promise
 * only.
 *
 * @example
 * const serial = new SerialQueue()
 * await Promise.all([serial.run(writeFirst), serial.run(writeSecond)]) // never at the same time
 */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve()

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task)
    this.#last = result.catch(() => undefined)
    return result
  }
}
