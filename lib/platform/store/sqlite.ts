import { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../../kit/clock.ts'
import { checked, increased, toJson } from './changes.ts'
import { parsing } from './parsed.ts'
import { checkpoints } from './sqlite-checkpoint.ts'
import { type Change, Conflict, type Item, type Key, NewerSchema, type Store } from './store.ts'

export { NewerSchema }

/** A Store in one SQLite file. */
export interface SqliteStore extends Store {
  /** Deletes up to `limit` records that have expired by `now` (milliseconds since the epoch); tells how many. */
  sweepExpired(now: number, limit: number): number
}

const SCHEMA_VERSION = 2

// WITHOUT ROWID: the primary key is the table, so a listing is one range scan; every index ends in (project, id) by itself.
// None for the kind: each record would write a page more, and `all` finds its way from project to project.
const SCHEMA = `
  CREATE TABLE records (
    project TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL,
    due INTEGER, instance TEXT, expires INTEGER,
    PRIMARY KEY (project, id)
  ) WITHOUT ROWID;
  CREATE INDEX records_by_due ON records (due) WHERE due IS NOT NULL;
  CREATE INDEX records_by_instance ON records (instance, id) WHERE instance IS NOT NULL;
  CREATE INDEX records_by_expiry ON records (expires) WHERE expires IS NOT NULL;
  PRAGMA user_version = ${SCHEMA_VERSION};
`

const FROM_1 = 'DROP INDEX records_by_kind; ALTER TABLE records DROP COLUMN kind; PRAGMA user_version = 2'

const COLUMNS = 'project, id, version, body, due, instance, expires'
const LIVE = '(expires IS NULL OR expires > ?)'

/** Pages of the log (128 MB) before who writes puts them in place itself: long before that, a thread has done it. */
const CHECKPOINT_PAGES = 32_000

/** Pages kept in memory, at most. */
const CACHE_KB = 16_000

/** What a log that has grown is cut to, once it is in place. */
const LOG_BYTES = 64 * 1024 * 1024

/** How long a transaction waits for another process's, in milliseconds. */
const BUSY_MS = 5_000

/** Greater than every id. */
const LAST_ID = '\u{10ffff}'

/** As in COLUMNS. */
type Row = [
  project: string,
  id: string,
  version: number,
  body: string,
  due: number | null,
  instance: string | null,
  expires: number | null,
]

interface Head {
  version: number
  expires: number | null
}

/**
 * Opens or makes the file (`:memory:` = none). Throws NewerSchema. The calls are synchronous inside, so that none
 * sees another's transaction half done. Ids are ordered by their UTF-8 bytes, which for ASCII is by code units.
 */
export function sqliteStore(path: string, options: { clock: Clock }): SqliteStore {
  const { clock } = options
  const db = open(path)
  const sql = statements(db)
  const parsed = parsing()
  const log = path === ':memory:' ? undefined : checkpoints(db, path, clock)

  function toItem([project, id, version, body, due, instance, expires]: Row): Item {
    const item: Item = { key: { project, id }, version, body: parsed(`${project}/${id}`, body) }
    if (due !== null) item.due = due
    if (instance !== null) item.instance = instance
    if (expires !== null) item.expires = expires
    return item
  }

  const rows = (found: unknown): Item[] => (found as Row[]).map(toItem)

  function apply(change: Exclude<Change, { op: 'add' }>, json: string | undefined, index: number, now: number): void {
    const { project, id } = change.key
    const head = sql.head.get(project, id) as Head | undefined
    const version = isLive(head, now) ? head.version : 0
    if (change.was !== undefined && change.was !== version) throw new Conflict(index, 'version')
    if (change.op === 'put') write(change.key, version + 1, json as string, change)
    if (change.op === 'delete') sql.remove.run(project, id)
  }

  function add(change: Change & { op: 'add' }, index: number, now: number): void {
    const found = sql.get.get(change.key.project, change.key.id, now) as unknown as Row | undefined
    const item = found && toItem(found)
    const { body, result } = increased(item?.body ?? {}, change)
    if (result < (change.min ?? -Infinity) || result > (change.max ?? Infinity)) throw new Conflict(index, 'bound')
    write(change.key, (item?.version ?? 0) + 1, toJson(body), item ?? {})
  }

  function write(key: Key, version: number, json: string, indexed: Partial<Item>): void {
    const { due = null, instance = null, expires = null } = indexed
    sql.put.run(key.project, key.id, version, json, due, instance, expires)
  }

  /** All changes in one transaction, which is kept or taken back. */
  function carryOut(changes: Change[], keep: boolean): void {
    const bodies = checked(changes)
    const now = clock.now()
    sql.begin.run()
    try {
      for (const [index, change] of changes.entries()) {
        if (change.op === 'add') add(change, index, now)
        else apply(change, bodies[index], index, now)
      }
      if (keep) sql.commit.run()
      if (keep) log?.written(changes.length)
    } finally {
      if (db.isTransaction) sql.rollback.run()
    }
  }

  return {
    async get(key) {
      const row = sql.get.get(key.project, key.id, clock.now()) as unknown as Row | undefined
      return row && toItem(row)
    },
    async list(project, kind, { after, limit }) {
      const [from, to] = idRange(kind, after)
      return rows(sql.list.all(project, from, to, clock.now(), limit))
    },
    async all(kind, { after = '/', limit }) {
      const slash = after.indexOf('/')
      let project: string | undefined = after.slice(0, slash)
      let [from, to] = idRange(kind, after.slice(slash + 1))
      const items: Item[] = []
      while (project !== undefined && items.length <= limit) {
        items.push(...rows(sql.list.all(project, from, to, clock.now(), limit + 1 - items.length)))
        project = (sql.nextProject.get(project) as { project: string } | undefined)?.project
        ;[from, to] = idRange(kind, undefined)
      }
      if (items.length <= limit) return { items }
      items.pop()
      const last = items[limit - 1]!.key
      return { items, next: `${last.project}/${last.id}` }
    },
    async due(before, limit) {
      return rows(sql.due.all(before, clock.now(), limit))
    },
    async ofInstance(instance, kind, { after, limit }) {
      const [from, to] = idRange(kind, after)
      return rows(sql.ofInstance.all(instance, from, to, clock.now(), limit))
    },
    transact: async changes => carryOut(changes, true),
    check: async changes => carryOut(changes, false),
    async close() {
      await log?.close()
      if (db.isOpen) db.close()
    },
    sweepExpired: (now, limit) => Number(sql.sweep.run(now, limit).changes),
  }
}

function open(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: BUSY_MS })
  try {
    db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};
      PRAGMA journal_size_limit = ${LOG_BYTES}; PRAGMA cache_size = -${CACHE_KB}`)
    db.exec('BEGIN IMMEDIATE')
    const { user_version: version } = db.prepare('PRAGMA user_version').get() as { user_version: number }
    if (version > SCHEMA_VERSION) throw new NewerSchema(`${path} has schema ${version}; this is ${SCHEMA_VERSION}`)
    if (version === 0) db.exec(SCHEMA)
    if (version === 1) db.exec(FROM_1)
    db.exec('COMMIT')
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

// A limit that is a bare `?` is looked at by the planner: SQLite would plan the statement anew at each run, for five times its cost.
function statements(db: DatabaseSync) {
  const select = (where: string) => {
    const statement = db.prepare(`SELECT ${COLUMNS} FROM records WHERE ${where}`)
    // Half the cost of a row as an object.
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
    ofInstance: select(`instance = ? AND id >= ? AND id < ? AND ${LIVE} ORDER BY id, project LIMIT +?`),
    put: db.prepare(`
      INSERT INTO records (project, id, version, body, due, instance, expires) VALUES (?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET version = excluded.version, body = excluded.body, due = excluded.due,
        instance = excluded.instance, expires = excluded.expires`),
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
  // With a NUL behind it, an id becomes the least one after it.
  return [after === undefined || after < start ? start : `${after}\0`, end]
}
