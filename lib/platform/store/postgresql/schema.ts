import type { ClientBase } from 'pg'
import { NewerSchema } from '../../../ports/store.ts'

/** Each takes a schema from one version to the next. Released ones are never changed; new ones are appended. */
const MIGRATIONS = [
  // "C": ids are ordered by their bytes, whatever the database's locale. Times are doubles, as in JavaScript.
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
  `ALTER TABLE records RENAME COLUMN instance TO subject;
   ALTER INDEX records_by_instance RENAME TO records_by_subject;
   ALTER TABLE records ADD COLUMN parent text COLLATE "C";
   CREATE INDEX records_by_parent ON records (parent, id, project) WHERE parent IS NOT NULL;`,
]

/** The schema version of this Coffer. */
const SCHEMA_VERSION = MIGRATIONS.length

/** The advisory lock of the process that creates or migrates a schema; an arbitrary number. */
const MIGRATION_LOCK = '7162914205'

/** Creates or migrates the schema, one process at a time. `schema` is an escaped identifier. Throws NewerSchema. */
export async function migrate(client: ClientBase, schema: string): Promise<void> {
  await client.query('BEGIN')
  try {
    await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
    const version = await versionOf(client, schema)
    if (version > SCHEMA_VERSION)
      throw new NewerSchema(`schema ${schema} has version ${version}; this Coffer supports ${SCHEMA_VERSION}`)
    if (version < SCHEMA_VERSION) await applyMigrations(client, schema, version)
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}

/**
 * The schema's version; 0 = there is none. Creates nothing, so that a role without CREATE can use an up-to-date schema.
 */
async function versionOf(client: ClientBase, schema: string): Promise<number> {
  const table = await client.query('SELECT to_regclass($1) AS name', [`${schema}.form`])
  if (table.rows[0]?.name === null) return 0
  const { rows } = await client.query(`SELECT version FROM ${schema}.form`)
  return Number(rows[0]?.version ?? 0)
}

async function applyMigrations(client: ClientBase, schema: string, from: number): Promise<void> {
  await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`)
  await client.query(`SET LOCAL search_path = ${schema}`)
  if (from === 0) await client.query('CREATE TABLE form (version int NOT NULL)')
  if (from === 0) await client.query('INSERT INTO form VALUES (0)')
  for (const migration of MIGRATIONS.slice(from)) await client.query(migration)
  await client.query('UPDATE form SET version = $1', [SCHEMA_VERSION])
}
