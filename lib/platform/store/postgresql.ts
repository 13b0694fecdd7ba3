import { createHash } from 'node:crypto'
import pg, { type ClientBase } from 'pg'
import type { Clock, Log, Random } from '../../kit/clock.ts'
import { checked, increased, kindOf, toJson } from './changes.ts'
import { type Sessions, sessions } from './postgresql-pool.ts'
import { migrate } from './postgresql-schema.ts'
import { BadTransaction, type Change, Conflict, type Item, type Key, type Store } from './store.ts'

/** A Store in a schema of a PostgreSQL database (13 or newer), shared by any number of processes. */
export interface PostgresqlStore extends Store {
  /** Deletes up to `limit` records that have expired by `now` (milliseconds since the epoch); tells how many. */
  sweepExpired(now: number, limit: number): Promise<number>
}

export interface PostgresqlOptions {
  /** `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=…`. */
  url: string
  clock: Clock
  random: Random
  log: Log
  /** Made if it is not there; default `coffer`. */
  schema?: string
  /** The most connections of this process; default 10. */
  connections?: number
  /** How long a call waits for a server that is away before it throws StoreAway, in milliseconds; default 20 s. */
  patienceMs?: number
}

const CONNECTIONS = 10
const PATIENCE_MS = 20_000
/** Longer than any call waits: until then a transaction's id tells that it was done. */
const REMEMBERED = '1 hour'

const COLUMNS = 'project, id, version::float8 AS version, body, due, instance, expires'
/** Greater than every id. */
const LAST_ID = '\u{10ffff}'

interface Row {
  project: string
  id: string
  version: number
  body: string
  due: number | null
  instance: string | null
  expires: number | null
}

/** What is written of one record. */
type Written = (string | number | null)[]

/**
 * Opens the store, and makes or migrates its schema; one process does that at a time. Throws NewerSchema, or StoreAway.
 * Transactions take a lock on each of their keys, in one order: of those that share a key one comes after the other.
 * One whose connection broke is begun again under the same id, which it wrote with its changes: found there, it was done.
 */
export async function postgresqlStore(options: PostgresqlOptions): Promise<PostgresqlStore> {
  const { clock, random, connections = CONNECTIONS, patienceMs = PATIENCE_MS } = options
  const schema = pg.escapeIdentifier(options.schema ?? 'coffer')
  const server = sessions({ ...options, connections, patienceMs })
  const sql = statements(schema)
  try {
    await server.during(client => migrate(client, schema))
  } catch (error) {
    await server.close()
    throw error
  }

  const rows = async (text: string, values: unknown[]): Promise<Item[]> => {
    // No record has a NUL in its key: PostgreSQL's text holds none.
    if (values.some(hasNul)) return []
    return server.during(async client => (await client.query<Row>(text, values)).rows.map(toItem))
  }

  async function carryOut(changes: Change[]): Promise<void> {
    checkKeys(changes)
    const bodies = checked(changes)
    if (changes.length === 0) return
    const id = random.uuid()
    await server.during((client, attempt) =>
      whole(client, `BEGIN; SELECT ${locks(schema, changes)}`, async () => {
        if (attempt > 1 && (await client.query(sql.done, [id])).rowCount === 1) return
        const plan = await planned(client, changes, bodies)
        if ('conflict' in plan) throw plan.conflict
        await client.query(sql.write, [id, ...columnsOf(plan.gone, 2), ...columnsOf(plan.written, 8)])
      }),
    )
  }

  async function planned(client: ClientBase, changes: Change[], bodies: (string | undefined)[]) {
    const keys = changes.map(({ key }) => [key.project, key.id])
    const { rows: found } = await client.query<Row>(sql.several, columnsOf(keys, 2))
    return plan(changes, bodies, found, clock.now())
  }

  return {
    get: async ({ project, id }) => (await rows(sql.get, [project, id, clock.now()]))[0],
    list: (project, kind, { after, limit }) => rows(sql.list, [project, ...idRange(kind, after), clock.now(), limit]),
    async all(kind, { after = '/', limit }) {
      const slash = after.indexOf('/')
      const items = await rows(sql.all, [kind, after.slice(0, slash), after.slice(slash + 1), clock.now(), limit + 1])
      if (items.length <= limit) return { items }
      items.pop()
      const last = items[limit - 1]!.key
      return { items, next: `${last.project}/${last.id}` }
    },
    due: (before, limit) => rows(sql.due, [before, clock.now(), limit]),
    ofInstance: (instance, kind, { after, limit }) =>
      rows(sql.ofInstance, [instance, ...idRange(kind, after), clock.now(), limit]),
    transact: carryOut,
    async check(changes) {
      checkKeys(changes)
      const bodies = checked(changes)
      const found = await server.during(client => planned(client, changes, bodies))
      if ('conflict' in found) throw found.conflict
    },
    close: once(server),
    sweepExpired: (now, limit) =>
      server.during(async client => {
        await client.query(sql.forget, [REMEMBERED])
        return (await client.query(sql.sweep, [now, limit])).rowCount ?? 0
      }),
  }
}

/** Begins, does, and commits; takes all back if something throws. */
async function whole(client: ClientBase, begin: string, work: () => Promise<void>): Promise<void> {
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
    ofInstance: select(`instance = $1 AND ${range} AND ${live(5)} ORDER BY id, project LIMIT $6`),
    done: `SELECT FROM ${schema}.transactions WHERE id = $1`,
    write: `
      WITH named AS (INSERT INTO ${schema}.transactions (id) VALUES ($1)),
        gone AS (DELETE FROM ${schema}.records WHERE (project, id) IN (SELECT * FROM unnest($2::text[], $3::text[])))
      INSERT INTO ${schema}.records AS r (project, id, kind, version, body, due, instance, expires)
        SELECT * FROM unnest($4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::float8[], $10::text[],
          $11::float8[])
      ON CONFLICT (project, id) DO UPDATE SET version = excluded.version, body = excluded.body, due = excluded.due,
        instance = excluded.instance, expires = excluded.expires`,
    sweep: `
      DELETE FROM ${schema}.records WHERE (project, id) IN
        (SELECT project, id FROM ${schema}.records WHERE expires <= $1::float8 ORDER BY expires LIMIT $2
          FOR UPDATE SKIP LOCKED) AND expires <= $1::float8`,
    forget: `DELETE FROM ${schema}.transactions WHERE at < now() - $1::interval`,
  }
}

/** What a transaction writes and deletes, its conditions holding for the records found; or the first that does not. */
function plan(changes: Change[], bodies: (string | undefined)[], found: Row[], now: number) {
  const byKey = new Map(found.map(row => [`${row.project}/${row.id}`, row]))
  const written: Written[] = []
  const gone: string[][] = []
  for (const [index, change] of changes.entries()) {
    const { project, id } = change.key
    const row = byKey.get(`${project}/${id}`)
    const old = row && (row.expires === null || row.expires > now) ? row : undefined
    const version = old?.version ?? 0
    if (change.op === 'add') {
      const { body, result } = increased(old ? JSON.parse(old.body) : {}, change)
      if (result < (change.min ?? -Infinity) || result > (change.max ?? Infinity))
        return { conflict: new Conflict(index, 'bound') }
      written.push(writtenAs(change.key, version + 1, toJson(body), old ?? {}))
      continue
    }
    if (change.was !== undefined && change.was !== version) return { conflict: new Conflict(index, 'version') }
    if (change.op === 'put') written.push(writtenAs(change.key, version + 1, bodies[index] ?? '', change))
    if (change.op === 'delete') gone.push([project, id])
  }
  return { written, gone }
}

type Indexed = { due?: number | null; instance?: string | null; expires?: number | null }

const writtenAs = ({ project, id }: Key, version: number, json: string, indexed: Indexed): Written => {
  const { due = null, instance = null, expires = null } = indexed
  return [project, id, kindOf(id), version, json, due, instance, expires]
}

/** Rows as one array for each column. */
const columnsOf = (rows: unknown[][], width: number): unknown[][] =>
  Array.from({ length: width }, (_, column) => rows.map(row => row[column]))

/**
 * The calls that take the keys' locks, lowest first, so that no two transactions wait for each other. Two keys may share
 * a number: then one waits without need.
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
    const instance = change.op === 'put' ? change.instance : undefined
    if ([project, id, instance].some(hasNul)) throw new BadTransaction('a key with a NUL')
  }
}

function toItem(row: Row): Item {
  const item: Item = { key: { project: row.project, id: row.id }, version: row.version, body: JSON.parse(row.body) }
  if (row.due !== null) item.due = row.due
  if (row.instance !== null) item.instance = row.instance
  if (row.expires !== null) item.expires = row.expires
  return item
}

/** The ids of a kind (or all) after `after`: at least the first, after the second, before the third. */
function idRange(kind: string | undefined, after = ''): [string, string, string] {
  // `$` is the character after `#`.
  return kind === undefined ? ['', after, LAST_ID] : [`${kind}#`, after, `${kind}$`]
}

function once(server: Sessions): () => Promise<void> {
  let closed: Promise<void> | undefined
  return () => {
    closed ??= server.close()
    return closed
  }
}
