import { type Accounts, type Project, type Ref, Taken, type User } from '../../identity/account.ts'
import type { Random } from '../../kit/clock.ts'
import { type Kind, retrying, type Stored } from '../../kit/records.ts'
import { type Change, Conflict, type Store } from '../store/store.ts'
import { hashPassword, type PasswordHash } from './passwords.ts'
import { digest, EVERYBODY, grants, isId, projectNames, projects, userNames, users } from './records.ts'

const PAGE = 200

type StoredUser = User & { password: PasswordHash }

/** Users, projects and roles in the store, under the project `*`. */
export function accounts(store: Store, random: Random): Accounts {
  return {
    user: async id => shown(await userRecord(store, id)),
    userByName: async name => shown(await userRecord(store, await idOf(store, userNames, name))),
    createUser: user => createUser(store, random, user),
    async setPassword(id, password) {
      const hash = await hashPassword(password, random)
      await changeUser(store, id, user => ({ ...user, password: hash, epoch: user.epoch + 1 }))
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

/** A user's record with its hash; for the logins alone. */
export async function userRecord(store: Store, id: string | undefined): Promise<Stored<StoredUser> | undefined> {
  return id !== undefined && isId(id) ? await users.get(store, EVERYBODY, id) : undefined
}

/** The id of the user with that name. */
export const userIdOf = (store: Store, name: string) => idOf(store, userNames, name)

/** A user as anybody may see it. */
export function shown(record: Stored<StoredUser> | undefined): User | undefined {
  if (!record) return undefined
  const { password: _, ...user } = record.body
  return user
}

async function idOf(store: Store, names: typeof userNames, name: string): Promise<string | undefined> {
  return (await names.get(store, EVERYBODY, digest(name)))?.body.id
}

/** 32 hex digits, as Keystone's. */
const newId = (random: Random) => random.uuid().replaceAll('-', '')

async function createUser(
  store: Store,
  random: Random,
  { name, password, defaultProject }: { name: string; password: string; defaultProject?: string },
): Promise<User> {
  const user: User = { id: newId(random), name, enabled: true, epoch: 1, ...(defaultProject && { defaultProject }) }
  const body = { ...user, password: await hashPassword(password, random) }
  await createNamed(store, userNames, user, users.create(EVERYBODY, user.id, body))
  return user
}

async function createProject(store: Store, random: Random, name: string): Promise<Project> {
  const project = { id: newId(random), name }
  await createNamed(store, projectNames, project, projects.create(EVERYBODY, project.id, project))
  return project
}

async function createNamed(store: Store, names: typeof userNames, { id, name }: Ref, record: Change): Promise<void> {
  try {
    await store.transact([names.create(EVERYBODY, digest(name), { id }), record])
  } catch (error) {
    throw error instanceof Conflict && error.index === 0 ? new Taken(`the name ${name} is taken`) : error
  }
}

async function changeUser(store: Store, id: string, change: (user: StoredUser) => StoredUser): Promise<void> {
  await retrying(store, async () => {
    const record = await userRecord(store, id)
    if (!record) throw new Error(`no user ${id}`)
    return { changes: [users.replace(record, change(record.body))], result: undefined }
  })
}

async function project(store: Store, id: string | undefined): Promise<Project | undefined> {
  return id !== undefined && isId(id) ? (await projects.get(store, EVERYBODY, id))?.body : undefined
}

async function allProjects(store: Store): Promise<Project[]> {
  const found: Project[] = []
  let after: string | undefined
  do {
    const page = await projects.all(store, { limit: PAGE, ...(after !== undefined && { after }) })
    found.push(...page.items.map(item => item.body))
    after = page.next
  } while (after !== undefined)
  return found
}

async function grant(store: Store, userId: string, projectId: string) {
  if (!isId(userId) || !isId(projectId)) return undefined
  return grants.get(store, EVERYBODY, `${userId}/${projectId}`)
}

async function projectsOf(store: Store, userId: string): Promise<Project[]> {
  const ids: string[] = []
  for await (const { key, body } of listUnder(store, grants, userId)) {
    if (body.roles.length > 0) ids.push(key.id.slice(key.id.lastIndexOf('/') + 1))
  }
  const found = await Promise.all(ids.map(id => project(store, id)))
  return found.filter(each => each !== undefined)
}

/** The records of a kind whose id is `<parent>/…`, in order. */
export async function* listUnder<T>(store: Store, kind: Kind<T>, parent: string): AsyncGenerator<Stored<T>> {
  const prefix = kind.key(EVERYBODY, `${parent}/`).id
  let after = prefix
  for (;;) {
    const page = await kind.list(store, EVERYBODY, { after, limit: PAGE })
    for (const item of page) {
      if (!item.key.id.startsWith(prefix)) return
      yield item
      after = item.key.id
    }
    if (page.length < PAGE) return
  }
}

async function setRoles(store: Store, userId: string, projectId: string, roles: string[]): Promise<void> {
  await retrying(store, async () => {
    const [user, old] = await Promise.all([userRecord(store, userId), grant(store, userId, projectId)])
    if (!user || !(await project(store, projectId))) throw new Error(`no user ${userId} or no project ${projectId}`)
    const wanted = [...new Set(roles)].sort()
    const taken = old?.body.roles.some(role => !wanted.includes(role)) ?? false
    const same = !taken && old?.body.roles.length === wanted.length
    const changes: Change[] = []
    if (!same) changes.push(old ? grants.replace(old, { roles: wanted }) : newGrant(userId, projectId, wanted))
    if (taken) changes.push(users.replace(user, { ...user.body, epoch: user.body.epoch + 1 }))
    return { changes, result: undefined }
  })
}

const newGrant = (userId: string, projectId: string, roles: string[]) =>
  grants.create(EVERYBODY, `${userId}/${projectId}`, { roles })

/** An account that shall exist. */
export interface Seed {
  user: string
  password: string
  project: string
  roles: string[]
}

/** The ids of a seeded account. */
export interface Seeded {
  user: Ref
  project: Ref
  /** Whether the user was made now; one that existed keeps the password it has. */
  created: boolean
}

/** Makes the accounts that do not exist and gives them their roles. Safe to repeat and to run twice at once. */
export async function seedAccounts(accounts: Accounts, seeds: Seed[]): Promise<Seeded[]> {
  const done: Seeded[] = []
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
    done.push({ user: { id: user.id, name }, project: { id: project.id, name: projectName }, created })
  }
  return done
}

async function ensure<T>(find: () => Promise<T | undefined>, create: () => Promise<T>): Promise<[T, boolean]> {
  const found = await find()
  if (found) return [found, false]
  try {
    return [await create(), true]
  } catch (error) {
    const made = error instanceof Taken ? await find() : undefined
    if (!made) throw error
    return [made, false]
  }
}
