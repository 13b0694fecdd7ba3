import type { Client } from 'pg'
import { type DatabaseSpec, type DatabaseVerbs, RejectedByDatastore } from '../../driver.ts'
import { checkDatabase } from '../rules/checks.ts'
import { findLocale } from '../rules/locales.ts'
import { findDatabases, listDatabases } from '../sql/queries.ts'
import { identifier, literal } from '../sql/quote.ts'
import type { PostgresqlSessions } from '../sql/sessions.ts'
import { pageOfRows } from './pages.ts'
import { DATABASE_OWNER_ROLE } from './roles.ts'

/** Only template0 is sure to hold nothing that depends on another locale. */
function localeClause(collate: string, major: number): string {
  const locale = findLocale(collate, major)
  if (!locale) return ''
  return ` TEMPLATE template0 LOCALE_PROVIDER ${BY_PROVIDER[locale.provider]} ${literal(locale.name)}`
}

const BY_PROVIDER = { builtin: 'builtin BUILTIN_LOCALE', icu: 'icu ICU_LOCALE', libc: 'libc LOCALE' }

const createStatement = ({ name, collate }: DatabaseSpec, major: number) =>
  `CREATE DATABASE ${identifier(name)} OWNER ${DATABASE_OWNER_ROLE}${collate === undefined ? '' : localeClause(collate, major)}`

// PUBLIC may connect to a new database; a grant has no effect before that is revoked.
const closeStatement = ({ name }: DatabaseSpec) => `REVOKE ALL ON DATABASE ${identifier(name)} FROM PUBLIC`

/** An interrupted DROP leaves a database to which nobody can connect: only another one helps. */
const HALF_DROPPED = 'SELECT datname::text AS name FROM pg_database WHERE datconnlimit = -2'

const dropStatement = (name: string) => `DROP DATABASE IF EXISTS ${identifier(name)} WITH (FORCE)`

/** Deletes what was being deleted when the server, or its agent's generation, ended. */
export async function finishDrops(maint: Client): Promise<void> {
  const { rows } = await maint.query<{ name: string }>(HALF_DROPPED)
  for (const { name } of rows) await maint.query(dropStatement(name))
}

/** The verbs of databases, on a server of the major version that `readMajor` returns. */
export function databaseVerbs(sessions: PostgresqlSessions, readMajor: () => Promise<number>): DatabaseVerbs {
  return {
    async create_database({ databases }) {
      const major = await readMajor()
      for (const database of databases) checkDatabase(database, major)
      const specs = [...new Map(databases.map(database => [database.name, database])).values()]
      const existing = await findDatabases(
        sessions,
        specs.map(({ name }) => name),
      )
      const statements = specs.flatMap(database => {
        const row = existing.get(database.name)
        if (!row) return [createStatement(database, major), closeStatement(database)]
        // Created just before a crash, and not closed yet.
        return row.ours && row.bare ? [closeStatement(database)] : []
      })
      if (statements.length > 0) await sessions.execute('postgres', statements)
    },

    async delete_database({ name }) {
      if (!(await findDatabases(sessions, [name])).has(name)) {
        throw new RejectedByDatastore(404, `Database ${name} cannot be found on the instance.`)
      }
      await sessions.execute('postgres', [dropStatement(name)])
    },

    async list_databases(page) {
      const rows = await listDatabases(sessions, { ...page, limit: page.limit + 1 })
      return pageOfRows(rows, page.limit, ({ name }) => ({ name }))
    },
  }
}
