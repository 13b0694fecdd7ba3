import { createHash } from 'node:crypto'
import pg, { type ClientBase } from 'pg'
import type { Clock, Log, Random } from '../../../kit/clock.ts'
import { BadTransaction, type Change, Conflict, type Item, type Key, type Store } from '../../../ports/store.ts'
import { applyAdd, checkChanges, kindOf, toJson } from '../changes.ts'
import { parseSubject, subjectColumn, subjectText } from '../subject.ts'
import { type ConnectionPool, connectionPool } from './pool.ts'
import { migrate } from './schema.ts'

/** A Store in a schema of a PostgreSQL database (13 or newer), shared by any number of processes. */
export interface PostgresqlStore extends Store {
  /** Deletes up to `limit` records that have expired by `now` (milliseconds since the epoch); returns how many. */
  sweepExpired(now: number, limit: number): Promise<number>
}

interface PostgresqlOptions {
  /** `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=…`. */
  url: string
  clock: Clock
  random: Random
  log: Log
  /** Created if it does not exist; default `coffer`. */
  schema?: string
  /** The most connections of this process; default 10. */
  connections?: number
  /**
   * How long a call waits for a server that cannot be reached before it throws StoreUnavailable, in ms; default 20 s.
   */
  patienceMs?: number
}

const CONNECTIONS = 10
const PATIENCE_MS = 20_000
/** How long the ids of committed transactions are kept: longer than any call waits. */
const ID_RETENTION = '1 hour'

const COLUMNS = 'project, id, version::float8 AS version, body, due, subject, parent, expires'
/** Greater than every id. */
const LAST_ID = '\u{10ffff}'

interface Row {
  project: string
  id: string
  version: number
  body: string
  due: number | null
  subject: string | null
  parent: string | null
  expires: number | null
}

/** The columns of a record to be written. */
type WrittenRow = (string | number | null)[]

/**
 * Opens the store, and creates or migrates its schema; one process does that at a time. Throws NewerSchema or
 * StoreUnavailable.
 *
 * A transaction takes a lock on each of its keys, in one order, so that transactions with a common key run one after
 * the other. If its connection breaks, it is retried under the same id, which it writes with its changes: an id that
 * exists shows that the earlier try was committed.
 */
export async function postgresqlStore(options: PostgresqlOptions): Promise<PostgresqlStore> {
  const { clock, connections = CONNECTIONS, patienceMs = PATIENCE_MS } = options
  const schema = pg.escapeIdentifier(options.schema ?? 'coffer')
  const pool = connectionPool({ ...options, connections, patienceMs })
  const sql = statements(schema)
  try {
    await pool.withClient(client => migrate(client, schema))
  } catch (error) {
    await pool.close()
    throw error
  }
  const context = { ...options, pool, sql, schemaName: schema }
  const select = (text: string, values: unknown[]) => selectItems(pool, text, values)
  return {
    get: async ({ project, id }) => (await select(sql.get, [project, id, clock.now()]))[0],
    list: (project, kind, { after, limit }) => select(sql.list, [project, ...idRange(kind, after), clock.now(), limit]),
    async all(kind, { after = '/', limit }) {
      const slash = after.indexOf('/')
      const items = await select(sql.all, [kind, after.slice(0, slash), after.slice(slash + 1), clock.now(), limit + 1])
      if (items.length <= limit) return { items }
      items.pop()
      const last = items[limit - 1]!.key
      return { items, next: `${last.project}/${last.id}` }
    },
    due: (before, limit) => select(sql.due, [before, clock.now(), limit]),
    ofSubject: (subject, kind, { after, limit }) =>
      select(sql.ofSubject, [subjectText(subject), ...idRange(kind, after), clock.now(), limit]),
    ofParent: (parent, kind, { after, limit }) =>
      select(sql.ofParent, [subjectText(parent), ...idRange(kind, after), clock.now(), limit]),
    transact: changes => transact(context, changes),
    check: changes => check(context, changes),
    close: closeOnce(pool),
    sweepExpired: (now, limit) =>
      pool.withClient(async client => {
        await client.query(sql.forget, [ID_RETENTION])
        return (await client.query(sql.sweep, [now, limit])).rowCount ?? 0
      }),
  }
}

interface TransactionContext {
  pool: ConnectionPool
  sql: ReturnType<typeof statements>
  /** Escaped. */
  schemaName: string
  clock: Clock
  random: Random
}

async function selectItems(pool: ConnectionPool, text: string, values: unknown[]): Promise<Item[]> {
  // No record has a NUL in its key, since PostgreSQL's text cannot contain one.
  if (values.some(hasNul)) return []
  return pool.withClient(async client => (await client.query<Row>(text, values)).rows.map(toItem))
}

async function transact(context: TransactionContext, changes: Change[]): Promise<void> {
  const { pool, sql, schemaName, random } = context
  checkKeys(changes)
  const bodies = checkChanges(changes)
  if (changes.length === 0) return
  const id = random.uuid()
  await pool.withClient((client, attempt) =>
    inTransaction(client, `BEGIN; SELECT ${locks(schemaName, changes)}`, async () => {
      if (attempt > 1 && (await client.query(sql.committed, [id])).rowCount === 1) return
      const { removed, written } = await readAndPlan(context, client, changes, bodies)
      await client.query(sql.write, [id, ...columnsOf(removed, 2), ...columnsOf(written, 9)])
    }),
  )
}

async function check(context: TransactionContext, changes: Change[]): Promise<void> {
  checkKeys(changes)
  const bodies = checkChanges(changes)
  await context.pool.withClient(client => readAndPlan(context, client, changes, bodies))
}

/** What the changes would write now. Throws Conflict or BadTransaction. */
async function readAndPlan(
  { sql, clock }: TransactionContext,
  client: ClientBase,
  changes: Change[],
  bodies: (string | undefined)[],
): Promise<WritePlan> {
  const keys = changes.map(({ key }) => [key.project, key.id])
  const { rows } = await client.query<Row>(sql.several, columnsOf(keys, 2))
  return planWrites(changes, bodies, rows, clock.now())
}

/** Begins, runs the work and commits; rolls back if something throws. */
async function inTransaction(client: ClientBase, begin: string, work: () => Promise<void>): Promise<void> {
  await client.query(begin)
  try {
    await work()
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
  await client.query('COMMIT')
}

function statements(schema: string) {
  const live = (number: number) => `(expires IS NULL OR expires > $${number}::float8)`
  const select = (where: string) => `SELECT ${COLUMNS} FROM ${schema}.records WHERE ${where}`
  const range = 'id >= $2 AND id > $3 AND id < $4'
  return {
    get: select(`project = $1 AND id = $2 AND ${live(3)}`),
    several: select('(project, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))'),
    list: select(`project = $1 AND ${range} AND ${live(5)} ORDER BY id LIMIT $6`),
    all: select(`kind = $1 AND (project, id) > ($2, $3) AND ${live(4)} ORDER BY project, id LIMIT $5`),
    due: select(`due <= $1::float8 AND ${live(2)} ORDER BY due, project, id LIMIT $3`),
    ofSubject: select(`subject = $1 AND ${range} AND ${live(5)} ORDER BY id, project LIMIT $6`),
    ofParent: select(`parent = $1 AND ${range} AND ${live(5)} ORDER BY id, project LIMIT $6`),
    committed: `SELECT FROM ${schema}.transactions WHERE id = $1`,
    write: `
      WITH named AS (INSERT INTO ${schema}.transactions (id) VALUES ($1)),
        gone AS (DELETE FROM ${schema}.records WHERE (project, id) IN (SELECT * FROM unnest($2::text[], $3::text[])))
      INSERT INTO ${schema}.records AS r (project, id, kind, version, body, due, subject, parent, expires)
        SELECT * FROM unnest($4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::float8[], $10::text[],
          $11::text[], $12::float8[])
      ON CONFLICT (project, id) DO UPDATE SET version = excluded.version, body = excluded.body, due = excluded.due,
        subject = excluded.subject, parent = excluded.parent, expires = excluded.expires`,
    sweep: `
      DELETE FROM ${schema}.records WHERE (project, id) IN
        (SELECT project, id FROM ${schema}.records WHERE expires <= $1::float8 ORDER BY expires LIMIT $2
          FOR UPDATE SKIP LOCKED) AND expires <= $1::float8`,
    forget: `DELETE FROM ${schema}.transactions WHERE at < now() - $1::interval`,
  }
}

interface WritePlan {
  written: WrittenRow[]
  /** Keys of deleted records. */
  removed: string[][]
}

/**
 * What a transaction writes and deletes, given the records as read. Throws Conflict for the first condition that fails.
 */
function planWrites(changes: Change[], bodies: (string | undefined)[], rows: Row[], now: number): WritePlan {
  const byKey = new Map(rows.map(row => [`${row.project}/${row.id}`, row]))
  const written: WrittenRow[] = []
  const removed: string[][] = []
  for (const [index, change] of changes.entries()) {
    const { project, id } = change.key
    const row = byKey.get(`${project}/${id}`)
    const old = row && (row.expires === null || row.expires > now) ? row : undefined
    const version = old?.version ?? 0
    if (change.op === 'add') {
      const { body, result } = applyAdd(old ? JSON.parse(old.body) : {}, change)
      if (result < (change.min ?? -Infinity) || result > (change.max ?? Infinity)) throw new Conflict(index, 'bound')
      written.push(toRow(change.key, version + 1, toJson(body), old ?? {}))
      continue
    }
    if (change.was !== undefined && change.was !== version) throw new Conflict(index, 'version')
    if (change.op === 'put') written.push(toRow(change.key, version + 1, bodies[index] ?? '', indexedOf(change)))
    if (change.op === 'delete') removed.push([project, id])
  }
  return { written, removed }
}

type Indexed = Partial<Pick<Row, 'due' | 'subject' | 'parent' | 'expires'>>

const indexedOf = (change: Change & { op: 'put' }): Indexed => ({
  due: change.due ?? null,
  subject: subjectColumn(change.subject),
  parent: subjectColumn(change.parent),
  expires: change.expires ?? null,
})

const toRow = ({ project, id }: Key, version: number, json: string, indexed: Indexed): WrittenRow => {
  const { due = null, subject = null, parent = null, expires = null } = indexed
  return [project, id, kindOf(id), version, json, due, subject, parent, expires]
}

/** The rows' values as one array for each column. */
const columnsOf = (rows: unknown[][], width: number): unknown[][] =>
  Array.from({ length: width }, (_, column) => rows.map(row => row[column]))

/**
 * The calls that take the keys' locks, lowest number first, so that no two transactions wait for each other. Two keys
 * may share a number; then one transaction waits without need.
 */
function locks(schema: string, changes: Change[]): string {
  const numbers = changes.map(({ key }) =>
    createHash('sha256').update(`${schema}\0${key.project}/${key.id}`).digest().readBigInt64BE(),
  )
  return [...new Set(numbers)]
    .sort((a, b) => (a < b ? -1 : 1))
    .map(number => `pg_advisory_xact_lock(${number})`)
    .join(', ')
}

const hasNul = (value: unknown) => typeof value === 'string' && value.includes('\0')

function checkKeys(changes: Change[]): void {
  for (const change of changes) {
    const { project, id } = change.key
    const { subject, parent } = change.op === 'put' ? change : {}
    if ([project, id, subject?.id, parent?.id].some(hasNul)) throw new BadTransaction('a key with a NUL')
  }
}

function toItem(row: Row): Item {
  const item: Item = { key: { project: row.project, id: row.id }, version: row.version, body: JSON.parse(row.body) }
  if (row.due !== null) item.due = row.due
  if (row.subject !== null) item.subject = parseSubject(row.subject)
  if (row.parent !== null) item.parent = parseSubject(row.parent)
  if (row.expires !== null) item.expires = row.expires
  return item
}

/** The ids of a kind (or all) after `after`: at least the first, greater than the second, less than the third. */
function idRange(kind: string | undefined, after = ''): [string, string, string] {
  // `$` is the character after `#`.
  return kind === undefined ? ['', after, LAST_ID] : [`${kind}#`, after, `${kind}$`]
}

/** Closes the pool at the first call; pg's own second `end` would throw. */
function closeOnce(pool: ConnectionPool): () => Promise<void> {
  let closed: Promise<void> | undefined
  return () => {
    closed ??= pool.close()
    return closed
  }
}
