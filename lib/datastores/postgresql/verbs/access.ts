import { RejectedByDatastore, type UserVerbs } from '../../driver.ts'
import { type DatabaseRow, findDatabases, findUser, type UserRow } from '../sql/queries.ts'
import { endSessions, identifier, identifiers } from '../sql/quote.ts'
import { type PostgresqlSessions, sqlState } from '../sql/sessions.ts'

const NO_SUCH_SCHEMA = '3F000'

type Verbs = Pick<UserVerbs, 'list_access' | 'grant_access' | 'revoke_access'>

/** The user of that name and host. Rejected with 404 if there is none. */
export async function requireUser(
  sessions: PostgresqlSessions,
  name: string,
  host: string | undefined,
): Promise<UserRow> {
  const user = await findUser(sessions, name)
  if (user && (host === undefined || host === user.host)) return user
  throw new RejectedByDatastore(404, `User ${name}@${host ?? '%'} cannot be found on the instance.`)
}

/** The databases of these names. Rejected with 404 if one is missing. */
export async function requireDatabases(sessions: PostgresqlSessions, names: string[]): Promise<DatabaseRow[]> {
  const existing = await findDatabases(sessions, names)
  return [...new Set(names)].map(name => {
    const row = existing.get(name)
    if (!row) throw new RejectedByDatastore(404, `Database ${name} cannot be found on the instance.`)
    return row
  })
}

// The limited role gets a mere warning when it grants on a database that another role owns.
const grantorOf = (database: DatabaseRow) => (database.ours ? 'os_admin' : 'os_maint')

const isMissingSchema = (error: unknown) => sqlState(error) === NO_SUCH_SCHEMA

/** Lets users connect to a database, and create objects in it and in its schema `public`. */
export async function grant(sessions: PostgresqlSessions, database: DatabaseRow, users: string[]): Promise<void> {
  const grantees = identifiers(users)
  const onDatabase = `GRANT ALL ON DATABASE ${identifier(database.name)} TO ${grantees}`
  const both = `${onDatabase}; GRANT ALL ON SCHEMA public TO ${grantees}`
  await sessions.execute(database.name, [both], grantorOf(database)).catch((error: unknown) => {
    if (!isMissingSchema(error)) throw error
    // The tenant dropped the schema `public`, and uses others.
    return sessions.execute(database.name, [onDatabase], grantorOf(database))
  })
}

async function revoke(sessions: PostgresqlSessions, database: DatabaseRow, user: string): Promise<void> {
  const inSchema = `REVOKE ALL ON SCHEMA public FROM ${identifier(user)}`
  await sessions.execute(database.name, [inSchema], grantorOf(database)).catch((error: unknown) => {
    if (!isMissingSchema(error)) throw error
  })
  // Last, for it is what the listing shows as the grant: after a crash before it, the command is repeated.
  const onDatabase = `REVOKE ALL ON DATABASE ${identifier(database.name)} FROM ${identifier(user)}`
  await sessions.execute('postgres', [onDatabase, ...endSessions(user, database.name)], grantorOf(database))
}

/** The verbs of users' access to databases. */
export function grantVerbs(sessions: PostgresqlSessions): Verbs {
  return {
    async list_access({ name, host }) {
      const user = await requireUser(sessions, name, host)
      return user.databases.map(database => ({ name: database }))
    },

    async grant_access({ name, host, databases }) {
      await requireUser(sessions, name, host)
      for (const database of await requireDatabases(sessions, databases)) await grant(sessions, database, [name])
    },

    async revoke_access({ name, host, database }) {
      const user = await requireUser(sessions, name, host)
      const row = (await findDatabases(sessions, [database])).get(database)
      if (!row || !user.databases.includes(database)) {
        throw new RejectedByDatastore(404, `User ${name} has no access to database ${database}.`)
      }
      await revoke(sessions, row, name)
    },
  }
}
