import type { Log, Random } from '../../lib/kit/clock.ts'

/** Whole numbers of 32 bits that repeat for the same seed. 32 bits of state are enough for tests. */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
}

/** Randomness that repeats for the same seed. For tests only. */
export function seededRandom(seed: number): Random {
  const next = mulberry32(seed)
  const bytes = (count: number) => Uint8Array.from({ length: count }, () => next() & 0xff)
  return { bytes, uuid: () => toUuid(bytes(16)) }
}

function toUuid(bytes: Uint8Array): string {
  bytes[6] = (bytes[6]! & 0x0f) | 0x40 // version 4
  bytes[8] = (bytes[8]! & 0x3f) | 0x80 // variant 1
  const hex = Buffer.from(bytes).toString('hex')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

const doNothing = (): void => {}

/** A log that discards everything. */
export const silentLog: Log = {
  debug: doNothing,
  info: doNothing,
  warn: doNothing,
  error: doNothing,
  child: () => silentLog,
}
