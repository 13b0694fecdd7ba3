/** What is known of an object without reading it. */
export interface ObjectInfo {
  key: string
  /** In bytes. */
  size: number
  /** When it was put, in milliseconds since the epoch. */
  modified: number
}

export interface PutOptions {
  /** The SHA-256 that the content must have, in lower-case hex; with another one nothing is stored, and BadChecksum is thrown. */
  checksum?: string
}

/** A part of an object, in bytes: from `from`, and up to but without `to` (left out: to the end). What is past the end is empty. */
export interface ByteRange {
  from: number
  to?: number
}

/** There is no object under that key. */
export class NoSuchObject extends Error {
  override name = 'NoSuchObject'
  constructor(key: string) {
    super(`no such object: ${key}`)
  }
}

/** The content was not what its checksum promised. */
export class BadChecksum extends Error {
  override name = 'BadChecksum'
}

const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/
const PREFIX = /^([A-Za-z0-9_-][A-Za-z0-9._-]{0,199}\/)*([A-Za-z0-9_-][A-Za-z0-9._-]{0,199})?$/
const MAX_KEY = 512

/** Throws RangeError for what is no key. */
export function checkKey(key: string): void {
  if (key.length > MAX_KEY || !key.split('/').every(segment => SEGMENT.test(segment)))
    throw new RangeError(`not a key of an object: ${key.slice(0, 100)}`)
}

/** Throws RangeError for what no key begins with. */
export function checkPrefix(prefix: string): void {
  if (prefix.length > MAX_KEY || !PREFIX.test(prefix)) throw new RangeError(`not a prefix: ${prefix.slice(0, 100)}`)
}

/** Throws RangeError unless `0 <= from < to`, in whole bytes. */
export function checkRange({ from, to }: ByteRange): void {
  const whole = Number.isSafeInteger(from) && (to === undefined || Number.isSafeInteger(to))
  if (!whole || from < 0 || (to !== undefined && to <= from)) throw new RangeError(`not a range: ${from} to ${to}`)
}

/**
 * The object store. A key is up to 512 characters: segments of 1-200 of `[A-Za-z0-9._-]`, not beginning with a dot, with `/`
 * between; anything else is refused with RangeError. What was put or deleted is so for all calls that begin afterwards.
 */
export interface Objects {
  /** Stores all of the content or, when reading it fails, nothing; replaces what is there. Tells its size and SHA-256 (hex). */
  put(
    key: string,
    content: AsyncIterable<Uint8Array>,
    options?: PutOptions,
  ): Promise<{ size: number; checksum: string }>
  /** The content, in pieces of any size, to be read to its end or left. Throws NoSuchObject before the first one. */
  get(key: string, range?: ByteRange): Promise<AsyncIterable<Uint8Array>>
  head(key: string): Promise<ObjectInfo | undefined>
  /** Objects whose keys begin with the prefix (`` = all) and come after `after`, in the order of keys; `limit` is 1 to 1,000. */
  list(prefix: string, range: { after?: string; limit: number }): Promise<ObjectInfo[]>
  /** Nothing happens if there is none. */
  delete(key: string): Promise<void>
  /** All whose keys begin with the prefix, which must not be empty. Tells how many there were. */
  deletePrefix(prefix: string): Promise<number>
  close(): Promise<void>
}
