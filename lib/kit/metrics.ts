export type Labels = Record<string, string | number>

/** Where what happens is counted. Names and labels come from the code, never from a request as it is: each pair is kept. */
export interface Metrics {
  /** Adds to a counter. */
  count(name: string, labels?: Labels, by?: number): void
  /** Adds a duration, in seconds, to a histogram. */
  observe(name: string, labels: Labels, seconds: number): void
  /** Something is alive: when it was heard of last, in milliseconds since the epoch. */
  heard(id: string, at: number): void
}

/** For where nobody asks. */
export const uncounted: Metrics = { count() {}, observe() {}, heard() {} }
