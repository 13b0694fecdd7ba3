/** The units that AWS charges for. */
export type Unit =
  | 'sqsRequests'
  | 'readUnits'
  | 'writeUnits'
  | 'apiRequests'
  | 'authorizerCalls'
  | 'apiCalls'
  | 'enrolCalls'
  | 'taskmanagerCalls'
  | 'conductorCalls'
  | 'periodicCalls'

export type Figures = Partial<Record<Unit, number>>

/** Counts units while a measurement runs. */
export class Counts {
  #figures: Figures | undefined

  add(unit: Unit, by = 1): void {
    if (this.#figures) this.#figures[unit] = (this.#figures[unit] ?? 0) + by
  }

  /** The units that the work takes. */
  async during(work: () => Promise<unknown>): Promise<Figures> {
    const figures: Figures = {}
    this.#figures = figures
    try {
      await work()
    } finally {
      this.#figures = undefined
    }
    return figures
  }

  /** Runs work of the test itself, which is not counted. */
  async uncounted<T>(work: () => Promise<T>): Promise<T> {
    const figures = this.#figures
    this.#figures = undefined
    try {
      return await work()
    } finally {
      this.#figures = figures
    }
  }
}
