import { closeSync, fstatSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { type Clock, elapsedMs } from '../../../kit/clock.ts'
import { isFullDisk } from '../../../kit/errors.ts'
import { freeBytesAt } from '../../../kit/os/disk.ts'
import type { Space } from '../../../ports/store.ts'
import { tryCheckpoint } from './checkpoint.ts'

interface ReserveParts {
  /** In WAL mode. */
  db: DatabaseSync
  path: string
  clock: Clock
  /** The size of each part, in whole MiB. */
  bytes: number
  /** What is free on the disk; by default the system says it. */
  freeBytes?: () => number
}

const MIB = 1024 * 1024
/** The disk is short below the first, until it has the second: in between it would come and go with each request. */
const SHORT_BYTES = 64 * MIB
const ROOM_BYTES = 96 * MIB
/** How long it is remembered what the system said. */
const FRESH_MS = 200

/** SQLITE_FULL, and SQLITE_IOERR_SHMSIZE: the index of the log cannot grow. */
const FULL_CODES = [13, 4874]

/** Whether SQLite found no space. The transaction is rolled back: unlike a failed sync, that leaves nothing unknown. */
export const isFullError = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'errcode' in error && FULL_CODES.includes(Number(error.errcode))

/**
 * Space in a store's own files for when its disk is full. Nobody else can take it, as they could a file that is removed:
 * the log is as long as it may get, and the database has rows that are deleted when their pages are needed.
 */
export class DiskReserve {
  readonly #parts: Required<ReserveParts>
  readonly #maxRows: number
  #rows: number
  #hasLog = false
  #isShort = false
  /** A write failed, and none has succeeded since. */
  #hasFailed = false
  #measured = { at: -Infinity, free: 0 }

  constructor(parts: ReserveParts) {
    this.#parts = { ...parts, freeBytes: parts.freeBytes ?? (() => freeBytesAt(dirname(parts.path))) }
    this.#maxRows = parts.bytes / MIB
    const { db } = parts
    tryUnlessFull(() => db.exec('CREATE TABLE IF NOT EXISTS reserve (filler BLOB NOT NULL)'))
    this.#rows = countRows(db)
    if (this.space().isShort) return
    while (this.#rows < this.#maxRows && this.#addRow());
    this.#growLog()
  }

  space(): Space {
    const { clock, freeBytes } = this.#parts
    const now = clock.now()
    if (elapsedMs(now, this.#measured.at) >= FRESH_MS) this.#measured = { at: now, free: freeBytes() }
    const { free } = this.#measured
    this.#isShort = free < (this.#isShort ? ROOM_BYTES : SHORT_BYTES)
    return { freeBytes: free, isShort: this.#isShort || this.#hasFailed }
  }

  /** Gives the rows up while the disk is short, and makes one of them again when there is room. */
  adjust(): void {
    if (this.space().isShort) {
      if (this.#rows > 0) this.#giveUp()
      return
    }
    if (!this.#hasLog) this.#growLog()
    if (this.#rows < this.#maxRows) this.#addRow()
  }

  /** Runs a transaction; if there was no space for it, once more with the reserve. Throws what it threw. */
  withReserve(write: () => void): void {
    this.adjust()
    if (!tryUnlessFull(write)) {
      this.#hasFailed = true
      this.#giveUp()
      write()
    }
    this.#hasFailed = false
  }

  /** False if there is no space for it. */
  #addRow(): boolean {
    const { db } = this.#parts
    const isAdded = tryUnlessFull(() => db.exec(`INSERT INTO reserve (filler) VALUES (zeroblob(${MIB}))`))
    // Only then the database's file has the pages.
    if (isAdded && ++this.#rows === this.#maxRows) tryCheckpoint(db)
    return isAdded
  }

  #giveUp(): void {
    const { db } = this.#parts
    // First, so that the log begins anew: the delete needs some of it.
    tryCheckpoint(db)
    if (this.#rows > 0 && tryUnlessFull(() => db.exec('DELETE FROM reserve'))) this.#rows = 0
  }

  #growLog(): void {
    this.#hasLog = tryUnlessFull(() => growLog(`${this.#parts.path}-wal`, this.#parts.bytes))
  }
}

/** False if there was no space. */
function tryUnlessFull(write: () => void): boolean {
  try {
    write()
    return true
  } catch (error) {
    if (isFullError(error) || isFullDisk(error)) return false
    throw error
  }
}

function countRows(db: DatabaseSync): number {
  const table = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'reserve'").get()
  return table ? Number((db.prepare('SELECT count(*) AS rows FROM reserve').get() as { rows: number }).rows) : 0
}

/** Appends zeros, which SQLite takes for the end of the log, and later writes over. */
function growLog(path: string, bytes: number): void {
  const file = openSync(path, 'r+')
  try {
    const zeros = Buffer.alloc(MIB)
    for (let size = fstatSync(file).size; size < bytes; ) {
      size += writeSync(file, zeros, 0, Math.min(MIB, bytes - size), size)
    }
  } finally {
    closeSync(file)
  }
}
