/** The labels of a metric, by name. */
export type Labels = Record<string, string | number>

/**
 * Counts events and measures durations. Names and labels must come from the code, never unchecked from a request: every
 * combination stays in memory.
 */
export interface Metrics {
  /** Adds to a counter. */
  count(name: string, labels?: Labels, by?: number): void
  /** Adds a duration, in seconds, to a histogram. */
  observe(name: string, labels: Labels, seconds: number): void
  /** Records that the component `id` was alive at `time`, in milliseconds since the epoch. */
  recordHeartbeat(id: string, time: number): void
}

/** Discards everything: for places that export no metrics. */
export const noMetrics: Metrics = { count() {}, observe() {}, recordHeartbeat() {} }
