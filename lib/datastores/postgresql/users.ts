import { type Driver, Refused, type UserSpec, type UserView } from '../driver.ts'
import { grant, requireDatabases, requireUser } from './access.ts'
import type { Admit } from './admission.ts'
import { databasesWith, noteOf, takenRoles, type UserRow, userNamed, usersOf } from './catalog.ts'
import { checkHost, checkPassword, checkUser, checkUserName } from './checks.ts'
import { ANYWHERE } from './hosts.ts'
import { pageOf } from './pages.ts'
import type { Sessions } from './sessions.ts'
import { FORMER } from './setup.ts'
import { endSessions, identifier, literal } from './sql.ts'

type Verbs = Pick<
  Driver,
  'create_user' | 'delete_user' | 'get_user' | 'list_users' | 'change_passwords' | 'update_attributes'
>

type Attributes = Parameters<Driver['update_attributes']>[2]

/** What the verbs of users work with. `verifier` = what the server may know of a password. */
export interface Tools {
  sessions: Sessions
  admit: Admit
  verifier(password: string): Promise<string>
}

const viewOf = ({ name, host, databases }: UserRow): UserView => ({
  name,
  host,
  databases: databases.map(database => ({ name: database })),
})

function refuseTaken(name: string): never {
  throw new Refused(400, `User ${name} already exists.`)
}

const comment = (name: string, host: string, was?: string) =>
  `COMMENT ON ROLE ${identifier(name)} IS ${literal(noteOf(host, was))}`

const passwordClause = async ({ verifier }: Tools, password: string) => `PASSWORD ${literal(await verifier(password))}`

/** One statement text for one transaction: the role with its password and host, new or as it was. */
async function roleStatement(tools: Tools, { name, password, host = ANYWHERE }: UserSpec, exists: boolean) {
  // An interrupted delete_user leaves a limit of no connections.
  const verb = exists ? `ALTER ROLE ${identifier(name)} CONNECTION LIMIT -1` : `CREATE ROLE ${identifier(name)} LOGIN`
  return `${verb} ${await passwordClause(tools, password)}; ${comment(name, host)}`
}

/** Makes users, without their grants. */
export async function makeUsers(tools: Tools, users: UserSpec[]): Promise<void> {
  const { sessions, admit } = tools
  if (users.length === 0) return
  const made = await takenRoles(
    sessions,
    users.map(({ name }) => name),
  )
  for (const name of made) if (!(await userNamed(sessions, name))) refuseTaken(name)
  const statements: string[] = []
  for (const user of users) {
    statements.push(await roleStatement(tools, user, made.has(user.name)))
    made.add(user.name)
  }
  await admit(users.map(({ name, host = ANYWHERE }) => ({ name, host })))
  await sessions.tell('postgres', statements)
  await admit([])
}

const databaseNames = (users: UserSpec[]) => users.flatMap(user => user.databases.map(({ name }) => name))

/** Grants users what they ask for. */
export async function grantUsers({ sessions }: Tools, users: UserSpec[]): Promise<void> {
  for (const database of await requireDatabases(sessions, databaseNames(users))) {
    const grantees = users.filter(user => user.databases.some(({ name }) => name === database.name))
    await grant(sessions, database, [...new Set(grantees.map(({ name }) => name))])
  }
}

async function createUsers(tools: Tools, users: UserSpec[]): Promise<void> {
  for (const user of users) checkUser(user)
  await requireDatabases(tools.sessions, databaseNames(users))
  await makeUsers(tools, users)
  await grantUsers(tools, users)
}

async function deleteUser({ sessions, admit }: Tools, user: UserRow): Promise<void> {
  const role = identifier(user.name)
  // Still a user until it is gone, so that an interrupted delete can be repeated; but one that gets no further session.
  await sessions.tell('postgres', [`ALTER ROLE ${role} CONNECTION LIMIT 0`, ...endSessions(user.name)])
  // To a role that may do nothing: a SECURITY DEFINER function or a view must not gain from its maker's end. Only the
  // superuser can hand over to one that may create nothing; no code of the tenant runs as objects change hands.
  const handOver = `REASSIGN OWNED BY ${role} TO ${FORMER}; DROP OWNED BY ${role}`
  for (const database of await databasesWith(sessions, user.oid)) await sessions.tell(database, [handOver], 'os_maint')
  await sessions.tell('postgres', [`${handOver}; DROP ROLE ${role}`], 'os_maint')
  await admit([])
}

/** The user to change, also if an interrupted call of the same wish has renamed it already. */
async function userToUpdate(sessions: Sessions, name: string, host: string | undefined, newName: string) {
  const renamed = newName === name ? undefined : await userNamed(sessions, newName)
  if (renamed?.was === name && !(await takenRoles(sessions, [name])).has(name)) return renamed
  return requireUser(sessions, name, host)
}

async function updateUser(tools: Tools, name: string, host: string | undefined, change: Attributes): Promise<void> {
  const { sessions, admit } = tools
  const newName = change.name ?? name
  checkUserName(newName)
  if (change.password !== undefined) checkPassword(change.password)
  const user = await userToUpdate(sessions, name, host, newName)
  const newHost = change.host ?? user.host
  checkHost(newName, newHost)
  const renames = newName !== user.name
  if (renames && (await takenRoles(sessions, [newName])).has(newName)) refuseTaken(newName)

  const role = identifier(user.name)
  const statement = [
    change.password === undefined ? [] : [`ALTER ROLE ${role} ${await passwordClause(tools, change.password)}`],
    [comment(user.name, newHost, renames ? user.name : user.was)],
    renames ? [`ALTER ROLE ${role} RENAME TO ${identifier(newName)}`] : [],
  ].flat()
  const tightened = newHost !== user.host && newHost !== ANYWHERE
  const names = tightened ? [user.name, newName] : [newName]
  await admit(names.map(each => ({ name: each, host: newHost })))
  await sessions.tell('postgres', [statement.join('; '), ...(tightened ? endSessions(newName) : [])])
  await admit([])
}

async function changePasswords(tools: Tools, users: Parameters<Driver['change_passwords']>[0]): Promise<void> {
  for (const { password } of users) checkPassword(password)
  for (const { name, host } of users) await requireUser(tools.sessions, name, host)
  const statements = users.map(
    async ({ name, password }) => `ALTER ROLE ${identifier(name)} ${await passwordClause(tools, password)}`,
  )
  if (users.length > 0) await tools.sessions.tell('postgres', await Promise.all(statements))
}

/** The verbs of users. */
export function userVerbs(tools: Tools): Verbs {
  const { sessions } = tools
  return {
    create_user: users => createUsers(tools, users),
    delete_user: async (name, host) => deleteUser(tools, await requireUser(sessions, name, host)),
    change_passwords: users => changePasswords(tools, users),
    update_attributes: (name, host, attributes) => updateUser(tools, name, host, attributes),

    async get_user(name, host) {
      const user = await userNamed(sessions, name)
      return user && (host === undefined || host === user.host) ? viewOf(user) : undefined
    },

    async list_users(page) {
      return pageOf(await usersOf(sessions, { ...page, limit: page.limit + 1 }), page.limit, viewOf)
    },
  }
}
