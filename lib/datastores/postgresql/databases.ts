import { type DatabaseSpec, type Driver, Refused } from '../driver.ts'
import { databasesNamed, databasesOf } from './catalog.ts'
import { checkDatabase } from './checks.ts'
import { localeOf } from './locales.ts'
import { pageOf } from './pages.ts'
import type { Sessions } from './sessions.ts'
import { identifier, literal } from './sql.ts'

type Verbs = Pick<Driver, 'create_database' | 'delete_database' | 'list_databases'>

/** Only template0 is sure to hold nothing that depends on another locale. */
function localeClause(collate: string, major: number): string {
  const locale = localeOf(collate, major)
  if (!locale) return ''
  return ` TEMPLATE template0 LOCALE_PROVIDER ${BY_PROVIDER[locale.provider]} ${literal(locale.name)}`
}

const BY_PROVIDER = { builtin: 'builtin BUILTIN_LOCALE', icu: 'icu ICU_LOCALE', libc: 'libc LOCALE' }

const creation = ({ name, collate }: DatabaseSpec, major: number) =>
  `CREATE DATABASE ${identifier(name)}${collate === undefined ? '' : localeClause(collate, major)}`

// Everyone may connect to a new database; only then does a grant mean something.
const closing = ({ name }: DatabaseSpec) => `REVOKE ALL ON DATABASE ${identifier(name)} FROM PUBLIC`

/** The verbs of databases, on a server of the major version that `majorOf` tells. */
export function databaseVerbs(sessions: Sessions, majorOf: () => Promise<number>): Verbs {
  return {
    async create_database(databases) {
      const major = await majorOf()
      for (const database of databases) checkDatabase(database, major)
      const wanted = [...new Map(databases.map(database => [database.name, database])).values()]
      const there = await databasesNamed(
        sessions,
        wanted.map(({ name }) => name),
      )
      const statements = wanted.flatMap(database => {
        const row = there.get(database.name)
        if (!row) return [creation(database, major), closing(database)]
        // Made by us just before a crash, and not closed yet.
        return row.ours && row.bare ? [closing(database)] : []
      })
      if (statements.length > 0) await sessions.tell('postgres', statements)
    },

    async delete_database(name) {
      if (!(await databasesNamed(sessions, [name])).has(name)) {
        throw new Refused(404, `Database ${name} cannot be found on the instance.`)
      }
      await sessions.tell('postgres', [`DROP DATABASE IF EXISTS ${identifier(name)} WITH (FORCE)`])
    },

    async list_databases(page) {
      const rows = await databasesOf(sessions, { ...page, limit: page.limit + 1 })
      return pageOf(rows, page.limit, ({ name }) => ({ name }))
    },
  }
}
