import { RejectedByDatastore, type UserSpec, type UserVerbs, type UserView } from '../../driver.ts'
import { checkHost, checkPassword, checkUser, checkUserName } from '../rules/checks.ts'
import { ANY_HOST } from '../rules/host-patterns.ts'
import type { HbaWriter } from '../server/hba-writer.ts'
import { databasesGrantedTo, encodeComment, existingRoles, findUser, listUsers, type UserRow } from '../sql/queries.ts'
import { endSessions, identifier, literal } from '../sql/quote.ts'
import type { PostgresqlSessions } from '../sql/sessions.ts'
import { grant, requireDatabases, requireUser } from './access.ts'
import { adoptUsers } from './administrator.ts'
import { pageOfRows } from './pages.ts'
import { FORMER_OWNER_ROLE } from './roles.ts'

type Verbs = Omit<UserVerbs, 'list_access' | 'grant_access' | 'revoke_access'>

type Update = Parameters<UserVerbs['update_attributes']>[0]

/** What the verbs of users work with. `verifier` gives the hash of a password that the server stores. */
export interface VerbContext {
  sessions: PostgresqlSessions
  hba: HbaWriter
  verifier(password: string): Promise<string>
}

const viewOf = ({ name, host, databases }: UserRow): UserView => ({
  name,
  host,
  databases: databases.map(database => ({ name: database })),
})

function rejectExisting(name: string): never {
  throw new RejectedByDatastore(400, `User ${name} already exists.`)
}

const commentStatement = (name: string, host: string, was?: string) =>
  `COMMENT ON ROLE ${identifier(name)} IS ${literal(encodeComment(host, was))}`

const passwordClause = async ({ verifier }: VerbContext, password: string) =>
  `PASSWORD ${literal(await verifier(password))}`

/** Creates or alters the role with its password and host: one text, so one transaction. */
async function roleStatement(context: VerbContext, { name, password, host = ANY_HOST }: UserSpec, exists: boolean) {
  // An interrupted delete_user leaves a connection limit of 0.
  const verb = exists ? `ALTER ROLE ${identifier(name)} CONNECTION LIMIT -1` : `CREATE ROLE ${identifier(name)} LOGIN`
  return `${verb} ${await passwordClause(context, password)}; ${commentStatement(name, host)}`
}

/** Creates users, without their grants. */
export async function createUsers(context: VerbContext, users: UserSpec[]): Promise<void> {
  const { sessions, hba } = context
  if (users.length === 0) return
  const roles = await existingRoles(
    sessions,
    users.map(({ name }) => name),
  )
  for (const name of roles) if (!(await findUser(sessions, name))) rejectExisting(name)
  const statements: string[] = []
  for (const user of users) {
    statements.push(await roleStatement(context, user, roles.has(user.name)))
    roles.add(user.name)
  }
  await hba.write(users.map(({ name, host = ANY_HOST }) => ({ name, host })))
  await sessions.execute('postgres', statements)
  await adoptUsers(sessions)
  await hba.write()
}

const databaseNames = (users: UserSpec[]) => users.flatMap(user => user.databases.map(({ name }) => name))

/** Grants users access to their databases. */
export async function grantUsers({ sessions }: VerbContext, users: UserSpec[]): Promise<void> {
  for (const database of await requireDatabases(sessions, databaseNames(users))) {
    const grantees = users.filter(user => user.databases.some(({ name }) => name === database.name))
    await grant(sessions, database, [...new Set(grantees.map(({ name }) => name))])
  }
}

async function createUsersWithGrants(context: VerbContext, users: UserSpec[]): Promise<void> {
  for (const user of users) checkUser(user)
  await requireDatabases(context.sessions, databaseNames(users))
  await createUsers(context, users)
  await grantUsers(context, users)
}

async function deleteUser({ sessions, hba }: VerbContext, user: UserRow): Promise<void> {
  const role = identifier(user.name)
  // It stays a user until it is dropped, so that an interrupted delete can be repeated; but it gets no further session.
  await sessions.execute('postgres', [`ALTER ROLE ${role} CONNECTION LIMIT 0`, ...endSessions(user.name)])
  // To a role without rights: a SECURITY DEFINER function or a view must not gain any when its owner is dropped. Only a
  // superuser can reassign to a role that may create nothing. Reassigning runs no code of the tenant.
  const handOver = `REASSIGN OWNED BY ${role} TO ${FORMER_OWNER_ROLE}; DROP OWNED BY ${role}`
  for (const database of await databasesGrantedTo(sessions, user.oid))
    await sessions.execute(database, [handOver], 'os_maint')
  await sessions.execute('postgres', [`${handOver}; DROP ROLE ${role}`], 'os_maint')
  await hba.write()
}

/** The user to change, which an interrupted call of the same command may have renamed already. */
async function userToUpdate(sessions: PostgresqlSessions, name: string, host: string | undefined, newName: string) {
  const renamed = newName === name ? undefined : await findUser(sessions, newName)
  if (renamed?.was === name && !(await existingRoles(sessions, [name])).has(name)) return renamed
  return requireUser(sessions, name, host)
}

async function updateUser(context: VerbContext, { name, host, attributes: change }: Update): Promise<void> {
  const { sessions, hba } = context
  const newName = change.name ?? name
  checkUserName(newName)
  if (change.password !== undefined) checkPassword(change.password)
  const user = await userToUpdate(sessions, name, host, newName)
  const newHost = change.host ?? user.host
  checkHost(newName, newHost)
  const renames = newName !== user.name
  if (renames && (await existingRoles(sessions, [newName])).has(newName)) rejectExisting(newName)

  const role = identifier(user.name)
  const statement = [
    change.password === undefined ? [] : [`ALTER ROLE ${role} ${await passwordClause(context, change.password)}`],
    [commentStatement(user.name, newHost, renames ? user.name : user.was)],
    renames ? [`ALTER ROLE ${role} RENAME TO ${identifier(newName)}`] : [],
  ].flat()
  const tightened = newHost !== user.host && newHost !== ANY_HOST
  const names = tightened ? [user.name, newName] : [newName]
  await hba.write(names.map(pinnedName => ({ name: pinnedName, host: newHost })))
  await sessions.execute('postgres', [statement.join('; '), ...(tightened ? endSessions(newName) : [])])
  await hba.write()
}

async function changePasswords(
  context: VerbContext,
  { users }: Parameters<UserVerbs['change_passwords']>[0],
): Promise<void> {
  for (const { password } of users) checkPassword(password)
  for (const { name, host } of users) await requireUser(context.sessions, name, host)
  const statements = users.map(
    async ({ name, password }) => `ALTER ROLE ${identifier(name)} ${await passwordClause(context, password)}`,
  )
  if (users.length > 0) await context.sessions.execute('postgres', await Promise.all(statements))
}

/** The verbs of users. */
export function userVerbs(context: VerbContext): Verbs {
  const { sessions } = context
  return {
    create_user: ({ users }) => createUsersWithGrants(context, users),
    delete_user: async ({ name, host }) => deleteUser(context, await requireUser(sessions, name, host)),
    change_passwords: input => changePasswords(context, input),
    update_attributes: update => updateUser(context, update),

    async get_user({ name, host }) {
      const user = await findUser(sessions, name)
      return user && (host === undefined || host === user.host) ? viewOf(user) : null
    },

    async list_users(page) {
      return pageOfRows(await listUsers(sessions, { ...page, limit: page.limit + 1 }), page.limit, viewOf)
    },
  }
}
