import type { ClientBase } from 'pg'
import { NewerSchema } from './store.ts'

/** Statements that take a schema from one version to the next; released ones are never changed, only added to. */
const MIGRATIONS = [
  // "C": ids in the order of their bytes, whatever the database's own language. Times are doubles, as in JavaScript.
  `CREATE TABLE records (
     project text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, kind text COLLATE "C" NOT NULL,
     version bigint NOT NULL, body text NOT NULL,
     due double precision, instance text COLLATE "C", expires double precision,
     PRIMARY KEY (project, id)
   );
   CREATE INDEX records_by_kind ON records (kind, project, id);
   CREATE INDEX records_by_due ON records (due, project, id) WHERE due IS NOT NULL;
   CREATE INDEX records_by_instance ON records (instance, id, project) WHERE instance IS NOT NULL;
   CREATE INDEX records_by_expiry ON records (expires) WHERE expires IS NOT NULL;
   CREATE TABLE transactions (id uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
   CREATE INDEX transactions_by_time ON transactions (at);`,
]

/** The version of the schema that this Coffer writes. */
export const SCHEMA_VERSION = MIGRATIONS.length

/** Held by whoever makes or migrates a schema; any number that nobody else uses. */
const MIGRATION_LOCK = '7162914205'

/** Makes the schema (its name is an identifier already), or brings it up to date; one process at a time. Throws NewerSchema. */
export async function migrate(client: ClientBase, schema: string): Promise<void> {
  await client.query('BEGIN')
  try {
    await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
    const found = await versionOf(client, schema)
    if (found > SCHEMA_VERSION)
      throw new NewerSchema(`schema ${schema} has version ${found}; this is ${SCHEMA_VERSION}`)
    if (found < SCHEMA_VERSION) await raise(client, schema, found)
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}

/** 0 = there is none. Asked without making anything, so that a role without CREATE can use what is up to date. */
async function versionOf(client: ClientBase, schema: string): Promise<number> {
  const there = await client.query('SELECT to_regclass($1) AS found', [`${schema}.form`])
  if (there.rows[0]?.found === null) return 0
  const { rows } = await client.query(`SELECT version FROM ${schema}.form`)
  return Number(rows[0]?.version ?? 0)
}

async function raise(client: ClientBase, schema: string, from: number): Promise<void> {
  await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`)
  await client.query(`SET LOCAL search_path = ${schema}`)
  if (from === 0) await client.query('CREATE TABLE form (version int NOT NULL)')
  if (from === 0) await client.query('INSERT INTO form VALUES (0)')
  for (const migration of MIGRATIONS.slice(from)) await client.query(migration)
  await client.query('UPDATE form SET version = $1', [SCHEMA_VERSION])
}
