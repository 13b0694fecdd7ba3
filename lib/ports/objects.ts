/** The metadata of an object. */
export interface ObjectInfo {
  key: string
  /** In bytes. */
  size: number
  /** When it was stored, in milliseconds since the epoch. */
  modified: number
}

/** Options of `put`. */
export interface PutOptions {
  /** The SHA-256 of the content, in lower-case hex. For other content nothing is stored and BadChecksum is thrown. */
  checksum?: string
}

/**
 * A part of an object, in bytes: from `from` up to, but not including, `to` (default: the end). Past the end it is
 * empty.
 */
export interface ByteRange {
  from: number
  to?: number
}

/** There is no object with this key. */
export class NoSuchObject extends Error {
  override name = 'NoSuchObject'
  constructor(key: string) {
    super(`no such object: ${key}`)
  }
}

/** The content does not have the given checksum. */
export class BadChecksum extends Error {
  override name = 'BadChecksum'
}

const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/
const PREFIX = /^([A-Za-z0-9_-][A-Za-z0-9._-]{0,199}\/)*([A-Za-z0-9_-][A-Za-z0-9._-]{0,199})?$/
const MAX_KEY = 512

/** Throws RangeError for an invalid key. */
export function checkKey(key: string): void {
  if (key.length > MAX_KEY || !key.split('/').every(segment => SEGMENT.test(segment)))
    throw new RangeError(`not a key of an object: ${key.slice(0, 100)}`)
}

/** Throws RangeError for a prefix with which no key can begin. */
export function checkPrefix(prefix: string): void {
  if (prefix.length > MAX_KEY || !PREFIX.test(prefix)) throw new RangeError(`not a prefix: ${prefix.slice(0, 100)}`)
}

/** Throws RangeError unless `from` and `to` are integers with `0 <= from < to`. */
export function checkRange({ from, to }: ByteRange): void {
  const areIntegers = Number.isSafeInteger(from) && (to === undefined || Number.isSafeInteger(to))
  if (!areIntegers || from < 0 || (to !== undefined && to <= from))
    throw new RangeError(`not a range: ${from} to ${to}`)
}

/**
 * The object store. A key has up to 512 characters: segments of 1-200 `[A-Za-z0-9._-]`, not beginning with a dot,
 * joined by `/`. Any other key throws RangeError. Calls see every `put` and `delete` that ended before they began.
 */
export interface Objects {
  /**
   * Stores the content, or nothing if reading it fails. Replaces an existing object. Returns its size and SHA-256
   * (hex).
   */
  put(
    key: string,
    content: AsyncIterable<Uint8Array>,
    options?: PutOptions,
  ): Promise<{ size: number; checksum: string }>
  /**
   * The content in chunks of any size, which need not be read to the end. Throws NoSuchObject before the first chunk.
   */
  get(key: string, range?: ByteRange): Promise<AsyncIterable<Uint8Array>>
  /** The metadata of an object; undefined if there is none. */
  head(key: string): Promise<ObjectInfo | undefined>
  /**
   * The objects whose keys begin with the prefix (may be empty) and come after `after`, sorted by key. `limit` is
   * 1-1,000.
   */
  list(prefix: string, range: { after?: string; limit: number }): Promise<ObjectInfo[]>
  /** Does nothing if there is no such object. */
  delete(key: string): Promise<void>
  /** Deletes all objects whose keys begin with the prefix, which must not be empty. Returns how many there were. */
  deletePrefix(prefix: string): Promise<number>
  close(): Promise<void>
}
