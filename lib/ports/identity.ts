/** Who makes a request, according to its token. */
export interface Caller {
  user: { id: string; name: string }
  project: { id: string; name: string }
  roles: string[]
  /** When the token expires, in milliseconds since the epoch. */
  expires: number
}

/** Verifies tokens. */
export interface Identity {
  /**
   * The caller. Undefined for a token that is malformed, forged, expired, revoked or without a project; never throws
   * for one.
   */
  verify(token: string): Promise<Caller | undefined>
}
