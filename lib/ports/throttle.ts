/** The decision about one request. */
export interface Decision {
  /** 0: the request is allowed. Otherwise it is refused, and the next would be allowed after so many milliseconds. */
  waitMs: number
}

/** What is left of a limit. */
export interface Remaining {
  /** The number of requests that would be allowed now. */
  remaining: number
  /** When the next request would be allowed, in milliseconds since the epoch. */
  next: number
}

/** A rate limit for each project and HTTP method. */
export interface Throttle {
  /** Requests per minute. 0: no limit. */
  readonly perMinute: number
  /** Counts a request, unless it is refused. */
  take(project: string, method: string): Promise<Decision>
  /** What is left of the limit. Does not count as a request. */
  look(project: string, method: string): Promise<Remaining>
}
