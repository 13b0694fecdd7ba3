/** The key of a record: its project (`*` if it belongs to none) and `kind#id`. */
export interface Key {
  project: string
  id: string
}

/** What a record belongs to. `kind` is `[a-z_]+`: `instance`, `backup`, `cluster`. */
export interface Subject {
  kind: string
  id: string
}

/** A stored record. `body` is JSON. `version` starts at 1 and increases by 1 with each write. */
export interface Item {
  key: Key
  version: number
  body: unknown
  /** When `periodic` next checks the record, in milliseconds since the epoch. */
  due?: number
  subject?: Subject
  /** What its subject is a part of. */
  parent?: Subject
  /** When it expires, in milliseconds since the epoch. Expired records are never returned. */
  expires?: number
}

/**
 * One change of a transaction. `was` is the version that the record must have. 0 means that it must not exist (an
 * expired record does not); without `was` any version will do. `put` replaces the record with its indexed fields. `add`
 * adds to a number in the body, if the result stays between `min` and `max`; a missing record or field counts as 0. It
 * has no `was`, so that counters do not conflict.
 */
export type Change =
  | ({ op: 'put'; key: Key; body: unknown; was?: number } & Pick<Item, 'due' | 'subject' | 'parent' | 'expires'>)
  | { op: 'delete'; key: Key; was?: number }
  | { op: 'check'; key: Key; was: number }
  | { op: 'add'; key: Key; field: string; by: number; min?: number; max?: number }

/** A condition of the transaction did not hold. Nothing was changed. */
export class Conflict extends Error {
  override name = 'Conflict'
  /** The index of the change, from 0. */
  readonly index: number
  readonly reason: 'version' | 'bound'
  constructor(index: number, reason: 'version' | 'bound') {
    super(`change ${index} conflicts (${reason})`)
    this.index = index
    this.reason = reason
  }
}

/** The most changes of one transaction: DynamoDB's limit, which all backends enforce. */
export const MAX_CHANGES = 100
/** The most bytes of a record's body as JSON, likewise. */
export const MAX_ITEM_BYTES = 400 * 1024

/** An invalid transaction: too many changes, a record that is too large, or two changes of one key. */
export class BadTransaction extends Error {
  override name = 'BadTransaction'
}

/** There was no space on the store's disk. Nothing was changed. */
export class StoreFull extends Error {
  override name = 'StoreFull'
}

/** The space on the disk of a store. */
export interface Space {
  freeBytes: number
  /** There is so little that only what frees space, or is needed for that, should still be written. */
  isShort: boolean
}

/** The store was written by a newer version of Coffer, whose records this version might misread. */
export class NewerSchema extends Error {
  override name = 'NewerSchema'
}

/**
 * A page of a list: the records whose `key.id` comes after `after`. For `all`, `after` is the cursor `next` instead.
 */
export interface Range {
  after?: string
  /** At least 1. */
  limit: number
}

/** The state of the control plane. Reads see every transaction that ended before, and no expired records. */
export interface Store {
  get(key: Key): Promise<Item | undefined>
  /** The records of a project and kind (the part of `key.id` before `#`), sorted by `key.id` in code unit order. */
  list(project: string, kind: string, range: Range): Promise<Item[]>
  /** All records of a kind in a stable order. Pass `next` as `after` for the next page; it is missing on the last. */
  all(kind: string, range: Range): Promise<{ items: Item[]; next?: string }>
  /** The records with `due <= before`, earliest first. */
  due(before: number, limit: number): Promise<Item[]>
  /** The records of a subject, of one kind or of all, sorted by `key.id`. */
  ofSubject(subject: Subject, kind: string | undefined, range: Range): Promise<Item[]>
  /** The records whose subject is a part of `parent`, likewise. */
  ofParent(parent: Subject, kind: string | undefined, range: Range): Promise<Item[]>
  /**
   * Commits all changes or none: up to 100, each of another key. Throws Conflict (for the first that fails),
   * BadTransaction or StoreFull.
   */
  transact(changes: Change[]): Promise<void>
  /** Throws what `transact` would throw, and changes nothing. */
  check(changes: Change[]): Promise<void>
  /** Missing where the store is another machine's concern. */
  space?(): Space
  /** A view for one request. Missing where every read finds only what is durable, at no cost. */
  eager?(): EagerStore
  close(): Promise<void>
}

/**
 * A store whose reads, and refusals of transactions, do not wait until what they tell is durable. Whoever uses it must tell
 * nobody before `settled`, which rejects if it was lost. A transaction that ended has settled all that was read before it.
 */
export interface EagerStore {
  store: Store
  settled(): Promise<void>
}
