import { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../../../kit/clock.ts'
import { type Change, Conflict, type Item, type Key, NewerSchema, type Store } from '../../../ports/store.ts'
import { applyAdd, checkChanges, toJson } from '../changes.ts'
import { parseCache } from '../parse-cache.ts'
import { parseSubject, subjectColumn, subjectText } from '../subject.ts'
import { type Checkpoints, checkpoints } from './checkpoint.ts'
import { CommitSync, type Sync } from './commit-sync.ts'

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

const COLUMNS = 'project, id, version, body, due, subject, parent, expires'
const LIVE = '(expires IS NULL OR expires > ?)'

/** Pages of the log (128 MB) at which a writer checkpoints by itself; a thread does it long before that. */
const CHECKPOINT_PAGES = 32_000

/** Pages kept in memory, at most. */
const CACHE_KB = 16_000

/** The size that the log's file is cut to after a full checkpoint. */
const LOG_BYTES = 64 * 1024 * 1024

/** How long a transaction waits for another process's, in milliseconds. */
const BUSY_MS = 5_000

/** Greater than every id. */
const LAST_ID = '\u{10ffff}'

/** What happens to the log of a file. */
type Log = Checkpoints & { disk: CommitSync }

/** As in COLUMNS. */
type Row = [
  project: string,
  id: string,
  version: number,
  body: string,
  due: number | null,
  subject: string | null,
  parent: string | null,
  expires: number | null,
]

interface Head {
  version: number
  expires: number | null
}

/**
 * Opens the file, or creates it (`:memory:` = none). Throws NewerSchema. The database's part of a call is synchronous, so
 * that none sees another's transaction half done; then it waits until what it tells is on the disk. `sync` replaces
 * fdatasync. Ids are ordered by their UTF-8 bytes, which for ASCII is by code units.
 */
export function sqliteStore(path: string, options: { clock: Clock; sync?: Sync | undefined }): SqliteStore {
  const { clock } = options
  const db = open(path)
  const sql = statements(db)
  const records = new SqliteRecords(db, sql)
  const log =
    path === ':memory:' ? undefined : { ...checkpoints(db, path, clock), disk: new CommitSync(path, options.sync) }
  /** A list can contain whatever is committed. */
  const onDisk = async <T>(read: () => T): Promise<T> => {
    const result = read()
    await log?.disk.ofAll()
    return result
  }
  return {
    async get(key) {
      const item = records.get(key.project, key.id, clock.now())
      const pending = log?.disk.ofRecord(key)
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
    transact: changes => transact(records, changes, clock.now(), log),
    async check(changes) {
      try {
        records.apply(changes, clock.now(), false)
      } finally {
        await log?.disk.ofAll()
      }
    },
    async close() {
      await log?.close()
      await log?.disk.close()
      if (db.isOpen) db.close()
    },
    sweepExpired: (now, limit) => Number(sql.sweep.run(now, limit).changes),
  }
}

async function transact(records: SqliteRecords, changes: Change[], now: number, log: Log | undefined): Promise<void> {
  log?.disk.assertUsable()
  try {
    records.apply(changes, now, true)
  } catch (error) {
    // A conflict tells of what another transaction wrote.
    await log?.disk.ofAll()
    throw error
  }
  log?.written(changes.length)
  await log?.disk.committed(changes.map(({ key }) => key))
}

/** The records of an open file. */
class SqliteRecords {
  readonly #db: DatabaseSync
  readonly #sql: Statements
  readonly #parse = parseCache()

  constructor(db: DatabaseSync, sql: Statements) {
    this.#db = db
    this.#sql = sql
  }

  get(project: string, id: string, now: number): Item | undefined {
    const row = this.#sql.get.get(project, id, now) as unknown as Row | undefined
    return row && this.#toItem(row)
  }

  /** The rows of a query as items. */
  items(rows: unknown): Item[] {
    return (rows as Row[]).map(this.#toItem)
  }

  all(kind: string, after = '/', limit: number, now: number): { items: Item[]; next?: string } {
    const slash = after.indexOf('/')
    let project: string | undefined = after.slice(0, slash)
    let [from, to] = idRange(kind, after.slice(slash + 1))
    const items: Item[] = []
    while (project !== undefined && items.length <= limit) {
      items.push(...this.items(this.#sql.list.all(project, from, to, now, limit + 1 - items.length)))
      project = (this.#sql.nextProject.get(project) as { project: string } | undefined)?.project
      ;[from, to] = idRange(kind, undefined)
    }
    if (items.length <= limit) return { items }
    items.pop()
    const last = items[limit - 1]!.key
    return { items, next: `${last.project}/${last.id}` }
  }

  /** Applies all changes in one transaction, which is then committed or rolled back. */
  apply(changes: Change[], now: number, commit: boolean): void {
    const bodies = checkChanges(changes)
    this.#sql.begin.run()
    try {
      for (const [index, change] of changes.entries()) {
        if (change.op === 'add') this.#add(change, index, now)
        else this.#replace(change, bodies[index], index, now)
      }
      if (commit) this.#sql.commit.run()
    } finally {
      if (this.#db.isTransaction) this.#sql.rollback.run()
    }
  }

  #replace(change: Exclude<Change, { op: 'add' }>, json: string | undefined, index: number, now: number): void {
    const { project, id } = change.key
    const head = this.#sql.head.get(project, id) as Head | undefined
    const version = isLive(head, now) ? head.version : 0
    if (change.was !== undefined && change.was !== version) throw new Conflict(index, 'version')
    if (change.op === 'put') this.#write(change.key, version + 1, json as string, change)
    if (change.op === 'delete') this.#sql.remove.run(project, id)
  }

  #add(change: Change & { op: 'add' }, index: number, now: number): void {
    const item = this.get(change.key.project, change.key.id, now)
    const { body, result } = applyAdd(item?.body ?? {}, change)
    if (result < (change.min ?? -Infinity) || result > (change.max ?? Infinity)) throw new Conflict(index, 'bound')
    this.#write(change.key, (item?.version ?? 0) + 1, toJson(body), item ?? {})
  }

  #write(key: Key, version: number, json: string, indexed: Partial<Item>): void {
    const { due = null, subject, parent, expires = null } = indexed
    const [subjectValue, parentValue] = [subjectColumn(subject), subjectColumn(parent)]
    this.#sql.put.run(key.project, key.id, version, json, due, subjectValue, parentValue, expires)
  }

  /** A function of its own, so that `map` needs no other around it. */
  readonly #toItem = ([project, id, version, body, due, subject, parent, expires]: Row): Item => {
    const item: Item = { key: { project, id }, version, body: this.#parse(`${project}/${id}`, body) }
    if (due !== null) item.due = due
    if (subject !== null) item.subject = parseSubject(subject)
    if (parent !== null) item.parent = parseSubject(parent)
    if (expires !== null) item.expires = expires
    return item
  }
}

function open(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: BUSY_MS })
  try {
    db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};
      PRAGMA journal_size_limit = ${LOG_BYTES}; PRAGMA cache_size = -${CACHE_KB}`)
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

type Statements = ReturnType<typeof statements>

// `+?`: with a bare `?` as the limit SQLite plans the statement again at each run, which costs five times as much.
function statements(db: DatabaseSync) {
  const select = (where: string) => {
    const statement = db.prepare(`SELECT ${COLUMNS} FROM records WHERE ${where}`)
    // A row as an array costs half as much as one as an object.
    statement.setReturnArrays(true)
    return statement
  }
  return {
    begin: db.prepare('BEGIN IMMEDIATE'),
    commit: db.prepare('COMMIT'),
    rollback: db.prepare('ROLLBACK'),
    head: db.prepare('SELECT version, expires FROM records WHERE project = ? AND id = ?'),
    get: select(`project = ? AND id = ? AND ${LIVE}`),
    list: select(`project = ? AND id >= ? AND id < ? AND ${LIVE} ORDER BY id LIMIT +?`),
    nextProject: db.prepare('SELECT project FROM records WHERE project > ? ORDER BY project LIMIT 1'),
    due: select(`due <= ? AND ${LIVE} ORDER BY due, project, id LIMIT +?`),
    ofSubject: select(`subject = ? AND id >= ? AND id < ? AND ${LIVE} ORDER BY id, project LIMIT +?`),
    ofParent: select(`parent = ? AND id >= ? AND id < ? AND ${LIVE} ORDER BY id, project LIMIT +?`),
    put: db.prepare(`
      INSERT INTO records (project, id, version, body, due, subject, parent, expires)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET version = excluded.version, body = excluded.body, due = excluded.due,
        subject = excluded.subject, parent = excluded.parent, expires = excluded.expires`),
    remove: db.prepare('DELETE FROM records WHERE project = ? AND id = ?'),
    sweep: db.prepare(`
      DELETE FROM records WHERE (project, id) IN
        (SELECT project, id FROM records WHERE expires <= ? ORDER BY expires LIMIT +?)`),
  }
}

function isLive(head: Head | undefined, now: number): head is Head {
  return head !== undefined && (head.expires === null || head.expires > now)
}

/** The ids of a kind (or all) after `after`: from the first (inclusive) to the second (exclusive). */
function idRange(kind: string | undefined, after: string | undefined): [string, string] {
  const start = kind === undefined ? '' : `${kind}#`
  const end = kind === undefined ? LAST_ID : `${kind}$` // `$` is the character after `#`
  // An id with a NUL appended is the smallest id after it.
  return [after === undefined || after < start ? start : `${after}\0`, end]
}
