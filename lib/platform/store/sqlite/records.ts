import type { DatabaseSync } from 'node:sqlite'
import { type Change, Conflict, type Item, type Key } from '../../../ports/store.ts'
import { applyAdd, checkChanges, toJson } from '../changes.ts'
import { parseCache } from '../parse-cache.ts'
import { parseSubject, subjectColumn } from '../subject.ts'

const COLUMNS = 'project, id, version, body, due, subject, parent, expires'
const LIVE = '(expires IS NULL OR expires > ?)'

/** Greater than every id. */
const LAST_ID = '\u{10ffff}'

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

/** The records of an open file. */
export class SqliteRecords {
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

export type Statements = ReturnType<typeof statements>

// `+?`: with a bare `?` as the limit SQLite plans the statement again at each run, which costs five times as much.
export function statements(db: DatabaseSync) {
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
export function idRange(kind: string | undefined, after: string | undefined): [string, string] {
  const start = kind === undefined ? '' : `${kind}#`
  const end = kind === undefined ? LAST_ID : `${kind}$` // `$` is the character after `#`
  // An id with a NUL appended is the smallest id after it.
  return [after === undefined || after < start ? start : `${after}\0`, end]
}
