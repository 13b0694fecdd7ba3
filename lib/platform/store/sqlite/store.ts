import { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../../../kit/clock.ts'
import { type Change, type EagerStore, NewerSchema, type Store, StoreFull } from '../../../ports/store.ts'
import { subjectText } from '../subject.ts'
import { type Checkpoints, checkpoints } from './checkpoint.ts'
import { CommitSync, type Sync } from './commit-sync.ts'
import { idRange, SqliteRecords, type Statements, statements } from './records.ts'
import { DiskReserve, isFullError } from './reserve.ts'

export { NewerSchema }

/** A Store in one SQLite file. */
export interface SqliteStore extends Store {
  /** Deletes up to `limit` records that have expired by `now` (milliseconds since the epoch); returns how many. */
  sweepExpired(now: number, limit: number): number
}

const SCHEMA_VERSION = 3

// WITHOUT ROWID: the primary key is the table, so a listing is one range scan, and every index ends in (project, id).
// No index by kind: it would cost a page more for each write, and `all` can go from project to project.
const SCHEMA = `
  CREATE TABLE records (
    project TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL,
    due INTEGER, subject TEXT, expires INTEGER, parent TEXT,
    PRIMARY KEY (project, id)
  ) WITHOUT ROWID;
  CREATE INDEX records_by_due ON records (due) WHERE due IS NOT NULL;
  CREATE INDEX records_by_subject ON records (subject, id) WHERE subject IS NOT NULL;
  CREATE INDEX records_by_parent ON records (parent, id) WHERE parent IS NOT NULL;
  CREATE INDEX records_by_expiry ON records (expires) WHERE expires IS NOT NULL;
  PRAGMA user_version = ${SCHEMA_VERSION};
`

/** Each takes a file to the next version, from version 1 on. Released ones are never changed; new ones are appended. */
const MIGRATIONS = [
  'DROP INDEX records_by_kind; ALTER TABLE records DROP COLUMN kind; PRAGMA user_version = 2',
  `DROP INDEX records_by_instance;
  ALTER TABLE records RENAME COLUMN instance TO subject;
  ALTER TABLE records ADD COLUMN parent TEXT;
  CREATE INDEX records_by_subject ON records (subject, id) WHERE subject IS NOT NULL;
  CREATE INDEX records_by_parent ON records (parent, id) WHERE parent IS NOT NULL;
  PRAGMA user_version = 3`,
]

/** Pages of the log (128 MB) at which a writer checkpoints by itself; a thread does it long before that. */
const CHECKPOINT_PAGES = 32_000

/** Pages kept in memory, at most. */
const CACHE_KB = 16_000

/** The size that the log's file is cut to after a full checkpoint. */
const LOG_BYTES = 64 * 1024 * 1024

/** How long a transaction waits for another process's, in milliseconds. */
const BUSY_MS = 5_000

/** What happens to the log of a file. */
type Log = Checkpoints & { disk: CommitSync; reserve: DiskReserve | undefined }

interface SqliteOptions {
  clock: Clock
  /** Replaces fdatasync. */
  sync?: Sync | undefined
  /** Called whenever a caller begins to wait for a sync. */
  onWait?: (() => void) | undefined
  /** Space in the files for when the disk is full; none if left out. `freeBytes` replaces what the system says. */
  reserve?: { bytes: number; freeBytes?: () => number } | undefined
}

/**
 * Opens the file, or creates it (`:memory:` = none). Throws NewerSchema. The database's part of a call is synchronous, so
 * that none sees another's transaction half done; then it waits until what it tells is on the disk. Ids are ordered by
 * their UTF-8 bytes, which for ASCII is by code units.
 */
export function sqliteStore(path: string, options: SqliteOptions): SqliteStore {
  const { clock, onWait } = options
  const db = open(path)
  const sql = statements(db)
  const records = new SqliteRecords(db, sql)
  const log = path === ':memory:' ? undefined : openLog(db, path, options)
  const { reserve } = log ?? {}
  const waiting = (pending: Pending) => {
    if (pending) onWait?.()
    return pending
  }
  const parts = { records, sql, clock, log, waiting }
  const store: SqliteStore = {
    ...view(parts, waiting),
    async close() {
      await log?.close()
      await log?.disk.close()
      // Closing it removes the log, and a start on the full disk could not make it again.
      if (db.isOpen && !reserve?.space().isShort) db.close()
    },
    sweepExpired: (now, limit) => Number(sql.sweep.run(now, limit).changes),
    ...(reserve && { space: () => reserve.space() }),
  }
  if (log) store.eager = () => eagerStore(store, parts)
  return store
}

/** The sync that something waits for; undefined if it is on the disk. */
type Pending = Promise<void> | undefined

interface ViewParts {
  records: SqliteRecords
  sql: Statements
  clock: Clock
  log: Log | undefined
  /** Called with what is then waited for. */
  waiting(pending: Pending): Pending
}

/** `beforeTelling` returns what a call has to wait for before it tells what `pending` brings to the disk. */
function view(parts: ViewParts, beforeTelling: (pending: Pending) => Pending) {
  const { records, sql, clock, log } = parts
  /** A list, or a refusal, can depend on whatever is committed. */
  const onDisk = async <T>(read: () => T): Promise<T> => {
    try {
      return read()
    } finally {
      const pending = beforeTelling(log?.disk.ofAll())
      if (pending) await pending
    }
  }
  return {
    async get(key) {
      const item = records.get(key.project, key.id, clock.now())
      const pending = beforeTelling(log?.disk.ofRecord(key))
      if (pending) await pending
      return item
    },
    list(project, kind, { after, limit }) {
      const [from, to] = idRange(kind, after)
      return onDisk(() => records.items(sql.list.all(project, from, to, clock.now(), limit)))
    },
    all: (kind, { after, limit }) => onDisk(() => records.all(kind, after, limit, clock.now())),
    due: (before, limit) => onDisk(() => records.items(sql.due.all(before, clock.now(), limit))),
    ofSubject(subject, kind, { after, limit }) {
      const [from, to] = idRange(kind, after)
      return onDisk(() => records.items(sql.ofSubject.all(subjectText(subject), from, to, clock.now(), limit)))
    },
    ofParent(parent, kind, { after, limit }) {
      const [from, to] = idRange(kind, after)
      return onDisk(() => records.items(sql.ofParent.all(subjectText(parent), from, to, clock.now(), limit)))
    },
    async transact(changes) {
      log?.disk.assertUsable()
      try {
        apply(parts, changes)
      } catch (error) {
        return onDisk(() => {
          throw isFullError(error) ? new StoreFull('the disk of the store is full', { cause: error }) : error
        })
      }
      log?.written(changes.length)
      await parts.waiting(log?.disk.committed(changes.map(({ key }) => key)))
    },
    check: changes => onDisk(() => records.apply(changes, clock.now(), false)),
  } satisfies Omit<Store, 'close'>
}

function apply({ records, clock, log }: ViewParts, changes: Change[]): void {
  const write = () => records.apply(changes, clock.now(), true)
  if (log?.reserve) log.reserve.withReserve(write)
  else write()
}

/** The log is synced in its order: one wait for the last thing that was read, or written, covers all before it. */
function eagerStore(store: Store, parts: ViewParts): EagerStore {
  let owed: Pending
  const owe = (pending: Pending): undefined => {
    if (!pending) return
    owed = pending
    // Who asks for `settled` gets the error.
    pending.catch(() => {})
  }
  return {
    store: { ...store, ...view(parts, owe) },
    settled: async () => parts.waiting(owed),
  }
}

function openLog(db: DatabaseSync, path: string, { clock, sync, reserve: options }: SqliteOptions): Log {
  const reserve = options && new DiskReserve({ db, path, clock, ...options })
  return { ...checkpoints(db, path, clock), reserve, disk: new CommitSync(path, sync) }
}

function open(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: BUSY_MS })
  try {
    db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};
      PRAGMA journal_size_limit = ${LOG_BYTES}; PRAGMA cache_size = -${CACHE_KB};
      PRAGMA temp_store = MEMORY`)
    db.exec('BEGIN IMMEDIATE')
    const { user_version: version } = db.prepare('PRAGMA user_version').get() as { user_version: number }
    if (version > SCHEMA_VERSION)
      throw new NewerSchema(`${path} has schema ${version}; this Coffer supports ${SCHEMA_VERSION}`)
    if (version === 0) db.exec(SCHEMA)
    else for (const migration of MIGRATIONS.slice(version - 1)) db.exec(migration)
    db.exec('COMMIT')
    return db
  } catch (error) {
    db.close()
    throw error
  }
}
