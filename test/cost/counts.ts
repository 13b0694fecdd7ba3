/** What AWS charges by number. */
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

/** Counts units while somebody measures. */
export class Counts {
  #figures: Figures | undefined

  add(unit: Unit, by = 1): void {
    if (this.#figures) this.#figures[unit] = (this.#figures[unit] ?? 0) + by
  }

  /** The units that the work takes. */
  async of(work: () => Promise<unknown>): Promise<Figures> {
    const figures: Figures = {}
    this.#figures = figures
    try {
      await work()
    } finally {
      this.#figures = undefined
    }
    return figures
  }

  /** What a test looks at itself is not counted. */
  async apart<T>(look: () => Promise<T>): Promise<T> {
    const figures = this.#figures
    this.#figures = undefined
    try {
      return await look()
    } finally {
      this.#figures = figures
    }
  }
}
