/** Time and timers. Passed in, so that tests can run on a virtual clock. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Resolves after `ms` milliseconds, or at once when `signal` is aborted. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/**
 * How long before `now` a time was, in milliseconds. One that is ahead of the clock was taken before the clock was set back: it
 * counts as just as long ago, so that nobody waits until the clock has caught up.
 */
export const elapsedMs = (now: number, time: number): number => Math.abs(now - time)

/** Randomness. Passed in, so that tests can repeat a run. */
export interface Random {
  uuid(): string
  bytes(count: number): Uint8Array
}

/** Structured fields of a log line. */
export interface LogFields {
  [name: string]: unknown
}

/** A structured logger: one JSON line for each call. */
export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  /** A logger that adds these fields to every line. */
  child(fields: LogFields): Log
}
