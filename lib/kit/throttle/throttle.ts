/** What a rate limit says to one request. */
export interface Verdict {
  /** 0 = the request may go on; else it is refused, and one would be taken after that many milliseconds. */
  waitMs: number
}

/** How much of a limit is left. */
export interface Left {
  /** Requests that would be taken now. */
  remaining: number
  /** When one would be taken, in milliseconds since the epoch: now, or later. */
  next: number
}

/** Trove's limit for each project and verb: a leaky bucket of a minute. */
export interface Throttle {
  /** Requests a minute; 0 = no limit. */
  readonly perMinute: number
  /** Counts a request, unless it is refused. */
  take(project: string, verb: string): Promise<Verdict>
  /** What is left, without counting. */
  look(project: string, verb: string): Promise<Left>
}

/** The verbs that are limited, each for itself; others are not. */
export const LIMITED = ['GET', 'POST', 'PUT', 'DELETE']

const MINUTE = 60_000
/** What rounding may add to a full bucket. */
const EPSILON = 1e-6

/** A bucket: its water (in milliseconds of leaking) and when that was so. */
export interface Bucket {
  water: number
  at: number
}

export const EMPTY: Bucket = { water: 0, at: 0 }

/** When it will be empty, and as good as none. */
export const emptyAt = ({ water, at }: Bucket) => at + water

/** The water now; a clock set back leaks nothing. */
const level = ({ water, at }: Bucket, now: number) => Math.max(0, water - Math.max(0, now - at))

/** Pours one request in: the bucket afterwards, or how long until there is room for it. */
export function poured(perMinute: number, bucket: Bucket, now: number): { bucket: Bucket; waitMs: number } {
  const water = level(bucket, now) + MINUTE / perMinute
  const over = water - MINUTE
  return over > EPSILON ? { bucket, waitMs: over } : { bucket: { water, at: now }, waitMs: 0 }
}

export function leftIn(perMinute: number, bucket: Bucket, now: number): Left {
  const remaining = Math.floor(((MINUTE - level(bucket, now)) / MINUTE) * perMinute + EPSILON)
  return { remaining, next: now + poured(perMinute, bucket, now).waitMs }
}

/** No limit at all. */
export const unlimited: Throttle = {
  perMinute: 0,
  take: async () => ({ waitMs: 0 }),
  look: async () => ({ remaining: 0, next: 0 }),
}
