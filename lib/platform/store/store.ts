/** The key of a record: its project (`*` for what belongs to none) and `kind#id`. */
export interface Key {
  project: string
  id: string
}

/** A stored record. `body` is JSON; `version` starts at 1 and rises by 1 with each write. */
export interface Item {
  key: Key
  version: number
  body: unknown
  /** When `periodic` shall look at it, in milliseconds since the epoch. */
  due?: number
  /** The instance that it belongs to. */
  instance?: string
  /** When it ceases to be, in milliseconds since the epoch; expired records are never returned. */
  expires?: number
}

/**
 * One change of a transaction. `was` is the version that the record must have: 0 = it must not exist (an expired one
 * does not), left out = any. `put` replaces the whole record, indexed fields included.
 * `add` adds to a number in the body (a missing record is `{}`, a missing field is 0) as long as the result stays
 * between `min` and `max`; it has no `was`, so that counters do not conflict.
 */
export type Change =
  | { op: 'put'; key: Key; body: unknown; was?: number; due?: number; instance?: string; expires?: number }
  | { op: 'delete'; key: Key; was?: number }
  | { op: 'check'; key: Key; was: number }
  | { op: 'add'; key: Key; field: string; by: number; min?: number; max?: number }

/** A transaction's condition did not hold; nothing was changed. */
export class Conflict extends Error {
  override name = 'Conflict'
  /** Which of the changes, counted from 0. */
  readonly index: number
  readonly reason: 'version' | 'bound'
  constructor(index: number, reason: 'version' | 'bound') {
    super(`change ${index} conflicts (${reason})`)
    this.index = index
    this.reason = reason
  }
}

/** The most changes of one transaction, and the most bytes of one record's JSON body: DynamoDB's limits, kept by all. */
export const MAX_CHANGES = 100
export const MAX_ITEM_BYTES = 400 * 1024

/** A transaction that no store takes: too many changes, a record too large, or two changes of one key. */
export class BadTransaction extends Error {
  override name = 'BadTransaction'
}

/** What is stored was written by a newer Coffer, whose records this one might misread. */
export class NewerSchema extends Error {
  override name = 'NewerSchema'
}

/** Where a listing goes on: only records whose `key.id` (for `all`: the cursor given) comes after it. */
export interface Range {
  after?: string
  /** At least 1. */
  limit: number
}

/** The state of the control plane. Reads see every transaction that ended before. All reads leave out expired records. */
export interface Store {
  get(key: Key): Promise<Item | undefined>
  /** A project's records of a kind (the part of `id` before `#`), in the order of `key.id` by code units. `after` is a whole `key.id`. */
  list(project: string, kind: string, range: Range): Promise<Item[]>
  /** All records of a kind in a stable order; pass `next` back as `after`; no `next` at the end. */
  all(kind: string, range: Range): Promise<{ items: Item[]; next?: string }>
  /** Records with `due <= before`, earliest first. */
  due(before: number, limit: number): Promise<Item[]>
  /** Records with this `instance`, of one kind or of all, in the order of `key.id`. */
  ofInstance(instance: string, kind: string | undefined, range: Range): Promise<Item[]>
  /** All or nothing; up to 100 changes, each of another key. Throws Conflict (first one that fails) or BadTransaction. */
  transact(changes: Change[]): Promise<void>
  /** Throws what `transact` would throw now, and changes nothing. */
  check(changes: Change[]): Promise<void>
  close(): Promise<void>
}
