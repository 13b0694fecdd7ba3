/** How long to wait between tries: `firstMs`, then twice as long each time, at most `maxMs`. */
export interface BackOff {
  firstMs: number
  maxMs: number
}

/**
 * Milliseconds to wait before the next try, after `failures` failures in a row (1 or more).
 *
 * @example
 * backOffMs(1, { firstMs: 250, maxMs: 60_000 }) // 250
 * backOffMs(3, { firstMs: 250, maxMs: 60_000 }) // 1000
 */
export function backOffMs(failures: number, { firstMs, maxMs }: BackOff): number {
  // 2 ** 30 times any delay is past every maximum, and still a safe number.
  return Math.min(maxMs, firstMs * 2 ** Math.min(Math.max(0, failures - 1), 30))
}
