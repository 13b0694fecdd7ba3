/** How a command to an agent ended; undefined if it is not recorded. */
export type CommandStatus = 'issued' | 'done' | 'failed' | 'cancelled' | undefined

/** A change of a user that was requested. */
export interface UserChange {
  /** The password from then on; undefined = the user is deleted, or may not log in. */
  password: string | undefined
  /** `unknown`: there was no answer. `done`: it was answered when it was done. `queued`: it was accepted. */
  outcome: 'unknown' | 'done' | 'queued'
  /** The request, by which the command of a queued change is recognised. */
  requestId?: string
}

/** What the actors know of an instance. */
export interface Entry {
  id: string
  /** The client that created it. */
  owner: string
  name: string
  /** The user that writes rows; only where there is a database from the beginning. */
  writer?: { name: string; password: string }
  hasBase: boolean
  changes: Map<string, UserChange[]>
  /** Rows whose insertion the database has confirmed. */
  rows: Set<number>
  databases: Set<string>
  /** Users that an actor is changing: the requests for one user come one after the other. */
  busyUsers: Set<string>
  /** A delete was sent; it may have had no answer. */
  isDeleteSent: boolean
  /** A delete was accepted. */
  isDeleted: boolean
}

/** The database that every user may enter. */
export const BASE = 'base'

export function newEntry(fields: Pick<Entry, 'id' | 'owner' | 'name' | 'hasBase'>): Entry {
  return {
    ...fields,
    changes: new Map(),
    rows: new Set(),
    databases: new Set(),
    busyUsers: new Set(),
    isDeleteSent: false,
    isDeleted: false,
  }
}

export function recordChange({ changes }: Entry, user: string, change: UserChange): void {
  changes.set(user, [...(changes.get(user) ?? []), change])
}

/**
 * With which passwords a user may be able to log in after these changes, one of which has to be true: `undefined` among
 * them means that no password need be accepted.
 */
export function possiblePasswords(
  changes: UserChange[],
  statusOf: (requestId: string) => CommandStatus,
): Set<string | undefined> {
  let possible = new Set<string | undefined>([undefined])
  for (const { password, outcome, requestId } of changes) {
    const isDone = outcome === 'done' || (outcome === 'queued' && statusOf(requestId ?? '') === 'done')
    // A command that failed may have been done: its server died before it could say so.
    possible = isDone ? new Set([password]) : possible.add(password)
  }
  return possible
}

/** The instances that the actors work with. */
export class Fleet {
  readonly entries: Entry[] = []
  readonly #max: number
  #creating = 0

  constructor(max: number) {
    this.#max = max
  }

  get living(): Entry[] {
    return this.entries.filter(({ isDeleted }) => !isDeleted)
  }

  /** Runs a create if there is room for one. */
  async withRoom(create: () => Promise<Entry | undefined>): Promise<void> {
    if (this.living.length + this.#creating >= this.#max) return
    this.#creating++
    try {
      const entry = await create()
      if (entry) this.entries.push(entry)
    } finally {
      this.#creating--
    }
  }
}
