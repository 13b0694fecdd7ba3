import type { Random } from '../../../kit/clock.ts'
import { type RecordType, type Stored, withOptimisticRetry } from '../../../kit/records.ts'
import { type Accounts, type NameOrId, NameTaken, type Project, type User } from '../../../ports/accounts.ts'
import { type Change, Conflict, type Store } from '../../../ports/store.ts'
import { hashPassword, type PasswordHash } from './passwords.ts'
import { ALL_ACCOUNTS, grants, hashId, isId, projectNames, projects, userNames, users } from './records.ts'

const PAGE = 200

type StoredUser = User & { password: PasswordHash }

/** Users, projects and roles in the store, under the project `*`. */
export function accounts(store: Store, random: Random): Accounts {
  return {
    user: async id => withoutHash(await userRecord(store, id)),
    userByName: async name => withoutHash(await userRecord(store, await idOf(store, userNames, name))),
    createUser: user => createUser(store, random, user),
    async setPassword(id, password, also) {
      const hash = await hashPassword(password, random)
      await changeUser(store, id, user => ({ ...user, password: hash, epoch: user.epoch + 1 }), also)
    },
    setEnabled: (id, enabled) =>
      changeUser(store, id, user => ({ ...user, enabled, epoch: enabled ? user.epoch : user.epoch + 1 })),
    project: id => project(store, id),
    projectByName: async name => project(store, await idOf(store, projectNames, name)),
    projects: () => allProjects(store),
    projectsOf: userId => projectsOf(store, userId),
    createProject: name => createProject(store, random, name),
    roles: async (userId, projectId) => (await grant(store, userId, projectId))?.body.roles ?? [],
    setRoles: (userId, projectId, roles) => setRoles(store, userId, projectId, roles),
  }
}

/** A user's record with its password hash; for the logins only. */
export async function userRecord(store: Store, id: string | undefined): Promise<Stored<StoredUser> | undefined> {
  return id !== undefined && isId(id) ? await users.get(store, ALL_ACCOUNTS, id) : undefined
}

/** The id of the user with that name. */
export const userIdOf = (store: Store, name: string) => idOf(store, userNames, name)

/** A user without the password hash. */
export function withoutHash(record: Stored<StoredUser> | undefined): User | undefined {
  if (!record) return undefined
  const { password: _, ...user } = record.body
  return user
}

async function idOf(store: Store, names: typeof userNames, name: string): Promise<string | undefined> {
  return (await names.get(store, ALL_ACCOUNTS, hashId(name)))?.body.id
}

/** 32 hexadecimal digits, like Keystone's ids. */
const newId = (random: Random) => random.uuid().replaceAll('-', '')

async function createUser(
  store: Store,
  random: Random,
  { name, password, defaultProject }: { name: string; password: string; defaultProject?: string },
): Promise<User> {
  const user: User = { id: newId(random), name, enabled: true, epoch: 1, ...(defaultProject && { defaultProject }) }
  const body = { ...user, password: await hashPassword(password, random) }
  await createNamed(store, userNames, user, users.create(ALL_ACCOUNTS, user.id, body))
  return user
}

async function createProject(store: Store, random: Random, name: string): Promise<Project> {
  const project = { id: newId(random), name }
  await createNamed(store, projectNames, project, projects.create(ALL_ACCOUNTS, project.id, project))
  return project
}

async function createNamed(
  store: Store,
  names: typeof userNames,
  { id, name }: NameOrId,
  record: Change,
): Promise<void> {
  try {
    await store.transact([names.create(ALL_ACCOUNTS, hashId(name), { id }), record])
  } catch (error) {
    throw error instanceof Conflict && error.index === 0 ? new NameTaken(`the name ${name} is taken`) : error
  }
}

async function changeUser(
  store: Store,
  id: string,
  change: (user: StoredUser) => StoredUser,
  also: Change[] = [],
): Promise<void> {
  await withOptimisticRetry(store, async () => {
    const record = await userRecord(store, id)
    if (!record) throw new Error(`no user ${id}`)
    return { changes: [users.replace(record, change(record.body)), ...also], result: undefined }
  })
}

async function project(store: Store, id: string | undefined): Promise<Project | undefined> {
  return id !== undefined && isId(id) ? (await projects.get(store, ALL_ACCOUNTS, id))?.body : undefined
}

async function allProjects(store: Store): Promise<Project[]> {
  const all: Project[] = []
  let after: string | undefined
  do {
    const page = await projects.all(store, { limit: PAGE, ...(after !== undefined && { after }) })
    all.push(...page.items.map(item => item.body))
    after = page.next
  } while (after !== undefined)
  return all
}

async function grant(store: Store, userId: string, projectId: string) {
  if (!isId(userId) || !isId(projectId)) return undefined
  return grants.get(store, ALL_ACCOUNTS, `${userId}/${projectId}`)
}

async function projectsOf(store: Store, userId: string): Promise<Project[]> {
  const ids: string[] = []
  for await (const { key, body } of listUnder(store, grants, userId)) {
    if (body.roles.length > 0) ids.push(key.id.slice(key.id.lastIndexOf('/') + 1))
  }
  const existing = await Promise.all(ids.map(id => project(store, id)))
  return existing.filter(each => each !== undefined)
}

/** The records of a type whose id is `<parent>/…`, in order. */
export async function* listUnder<T>(store: Store, type: RecordType<T>, parent: string): AsyncGenerator<Stored<T>> {
  const prefix = type.key(ALL_ACCOUNTS, `${parent}/`).id
  let after = prefix
  for (;;) {
    const page = await type.list(store, ALL_ACCOUNTS, { after, limit: PAGE })
    for (const item of page) {
      if (!item.key.id.startsWith(prefix)) return
      yield item
      after = item.key.id
    }
    if (page.length < PAGE) return
  }
}

async function setRoles(store: Store, userId: string, projectId: string, roles: string[]): Promise<void> {
  await withOptimisticRetry(store, async () => {
    const [user, old] = await Promise.all([userRecord(store, userId), grant(store, userId, projectId)])
    if (!user || !(await project(store, projectId))) throw new Error(`no user ${userId} or no project ${projectId}`)
    const requested = [...new Set(roles)].sort()
    const revokes = old?.body.roles.some(role => !requested.includes(role)) ?? false
    const same = !revokes && old?.body.roles.length === requested.length
    const changes: Change[] = []
    if (!same) changes.push(old ? grants.replace(old, { roles: requested }) : newGrant(userId, projectId, requested))
    if (revokes) changes.push(users.replace(user, { ...user.body, epoch: user.body.epoch + 1 }))
    return { changes, result: undefined }
  })
}

const newGrant = (userId: string, projectId: string, roles: string[]) =>
  grants.create(ALL_ACCOUNTS, `${userId}/${projectId}`, { roles })

/** An account to create unless it exists. */
interface Seed {
  user: string
  password: string
  project: string
  roles: string[]
}

/** The ids of a seeded account. */
export interface Seeded {
  user: NameOrId
  project: NameOrId
  /** Whether the user is new; an existing one keeps its password. */
  created: boolean
}

/** Creates the accounts that do not exist and sets their roles. Safe to repeat and to run concurrently. */
export async function seedAccounts(accounts: Accounts, seeds: Seed[]): Promise<Seeded[]> {
  const seeded: Seeded[] = []
  for (const { user: name, password, project: projectName, roles } of seeds) {
    const [project] = await ensure(
      () => accounts.projectByName(projectName),
      () => accounts.createProject(projectName),
    )
    const [user, created] = await ensure(
      () => accounts.userByName(name),
      () => accounts.createUser({ name, password, defaultProject: project.id }),
    )
    await accounts.setRoles(user.id, project.id, roles)
    seeded.push({ user: { id: user.id, name }, project: { id: project.id, name: projectName }, created })
  }
  return seeded
}

async function ensure<T>(find: () => Promise<T | undefined>, create: () => Promise<T>): Promise<[T, boolean]> {
  const existing = await find()
  if (existing) return [existing, false]
  try {
    return [await create(), true]
  } catch (error) {
    const concurrent = error instanceof NameTaken ? await find() : undefined
    if (!concurrent) throw error
    return [concurrent, false]
  }
}
