/** Time and timers. Passed in, so that tests can run on a virtual clock. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Resolves after `ms` milliseconds, or at once when `signal` is aborted. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

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
