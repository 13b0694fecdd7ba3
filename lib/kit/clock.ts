/** Time and timers, given by the wiring so that tests can run on a virtual clock. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Resolves after `ms` milliseconds, or at once when `signal` is aborted. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Randomness, given by the wiring. */
export interface Random {
  uuid(): string
  bytes(count: number): Uint8Array
}

/** The trace of one request or task, written with every log line. */
export interface LogFields {
  [name: string]: unknown
}

/** A structured logger: one JSON line for each call. */
export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  child(fields: LogFields): Log
}
