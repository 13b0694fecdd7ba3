/** Who makes a request, as its token says. */
export interface Caller {
  user: { id: string; name: string }
  project: { id: string; name: string }
  roles: string[]
  /** When the token ends, in milliseconds since the epoch. */
  expires: number
}

/** Where tokens are checked. */
export interface Identity {
  /** The caller, or nothing for a token that is malformed, forged, expired, revoked or without a project. Never throws for a bad token. */
  verify(token: string): Promise<Caller | undefined>
}
