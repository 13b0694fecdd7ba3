import { type Driver, Refused } from '../driver.ts'
import { type DatabaseRow, databasesNamed, type UserRow, userNamed } from './catalog.ts'
import { type Sessions, sqlState } from './sessions.ts'
import { endSessions, identifier, identifiers } from './sql.ts'

const NO_SUCH_SCHEMA = '3F000'

type Verbs = Pick<Driver, 'list_access' | 'grant_access' | 'revoke_access'>

/** The user of that name and host; refused if there is none. */
export async function requireUser(sessions: Sessions, name: string, host: string | undefined): Promise<UserRow> {
  const user = await userNamed(sessions, name)
  if (user && (host === undefined || host === user.host)) return user
  throw new Refused(404, `User ${name}@${host ?? '%'} cannot be found on the instance.`)
}

/** The databases of these names; refused if one is not there. */
export async function requireDatabases(sessions: Sessions, names: string[]): Promise<DatabaseRow[]> {
  const found = await databasesNamed(sessions, names)
  return [...new Set(names)].map(name => {
    const row = found.get(name)
    if (!row) throw new Refused(404, `Database ${name} cannot be found on the instance.`)
    return row
  })
}

// To the limited role PostgreSQL says no more than a warning when it cannot grant on what another owns.
const ownerOf = (database: DatabaseRow) => (database.ours ? 'os_admin' : 'os_maint')

const noSchema = (error: unknown) => sqlState(error) === NO_SUCH_SCHEMA

/** Lets users connect to a database and create what they like in it, and in its schema `public`. */
export async function grant(sessions: Sessions, database: DatabaseRow, users: string[]): Promise<void> {
  const grantees = identifiers(users)
  const onDatabase = `GRANT ALL ON DATABASE ${identifier(database.name)} TO ${grantees}`
  const both = `${onDatabase}; GRANT ALL ON SCHEMA public TO ${grantees}`
  await sessions.tell(database.name, [both], ownerOf(database)).catch((error: unknown) => {
    if (!noSchema(error)) throw error
    // The tenant dropped that schema, and creates tables in others.
    return sessions.tell(database.name, [onDatabase], ownerOf(database))
  })
}

async function revoke(sessions: Sessions, database: DatabaseRow, user: string): Promise<void> {
  const inSchema = `REVOKE ALL ON SCHEMA public FROM ${identifier(user)}`
  await sessions.tell(database.name, [inSchema], ownerOf(database)).catch((error: unknown) => {
    if (!noSchema(error)) throw error
  })
  // Last, for it is what shows the grant: a crash before it is made good by a repetition.
  const onDatabase = `REVOKE ALL ON DATABASE ${identifier(database.name)} FROM ${identifier(user)}`
  await sessions.tell('postgres', [onDatabase, ...endSessions(user, database.name)], ownerOf(database))
}

/** The verbs of users' access to databases. */
export function accessVerbs(sessions: Sessions): Verbs {
  return {
    async list_access(name, host) {
      const user = await requireUser(sessions, name, host)
      return user.databases.map(database => ({ name: database }))
    },

    async grant_access(name, host, databases) {
      await requireUser(sessions, name, host)
      for (const database of await requireDatabases(sessions, databases)) await grant(sessions, database, [name])
    },

    async revoke_access(name, host, database) {
      const user = await requireUser(sessions, name, host)
      const row = (await databasesNamed(sessions, [database])).get(database)
      if (!row || !user.databases.includes(database)) {
        throw new Refused(404, `User ${name} has no access to database ${database}.`)
      }
      await revoke(sessions, row, name)
    },
  }
}
