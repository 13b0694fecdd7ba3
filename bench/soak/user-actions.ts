import { BASE, recordChange, type UserChange } from './ledger.ts'
import type { Random } from './random.ts'
import { type Action, pathOf, type Scene } from './scene.ts'

const NAMES = ['ann', 'bob', 'cat', 'dan']
const DATABASES = ['cart', 'stock', 'audit']

export const newPassword = (random: Random): string =>
  `pw-${Array.from({ length: 4 }, () => random.whole(0, 2 ** 31).toString(36)).join('')}`

/** Runs the work with a user that no other actor changes; not at all if all are being changed. */
async function withUser(scene: Scene, names: string[], work: (name: string) => Promise<unknown>): Promise<void> {
  const { entry, random } = scene
  const free = names.filter(name => !entry.busyUsers.has(name))
  if (free.length === 0) return
  const name = random.pick(free)
  entry.busyUsers.add(name)
  try {
    await work(name)
  } finally {
    entry.busyUsers.delete(name)
  }
}

/** Users of whom the last that is recorded is a password. */
const usersOf = ({ entry }: Scene): string[] =>
  NAMES.filter(name => entry.changes.get(name)?.at(-1)?.password !== undefined)

/** Sends a change of a user and records what came of it; a refused one has changed nothing. */
async function sendChange(
  { client, entry }: Scene,
  request: { action: string; method: string; path: string; body?: unknown; user: string; password: string | undefined },
): Promise<void> {
  const { action, method, path, body, user, password } = request
  // Recorded before the answer: a kill may come at any time.
  const change: UserChange = { password, outcome: 'unknown' }
  recordChange(entry, user, change)
  const reply = await client.call(action, method, pathOf(entry, path), body)
  if (!reply || reply.status >= 500) return
  if (reply.status === 202) Object.assign(change, { outcome: 'queued', requestId: reply.requestId })
  else if (reply.status < 300) change.outcome = 'done'
  else
    entry.changes.set(
      user,
      (entry.changes.get(user) ?? []).filter(other => other !== change),
    )
}

async function createUser(scene: Scene): Promise<void> {
  if (!scene.entry.hasBase) return createBase(scene)
  await withUser(scene, NAMES, user => {
    const password = newPassword(scene.random)
    const body = { users: [{ name: user, password, databases: [{ name: BASE }] }] }
    return sendChange(scene, { action: 'create a user', method: 'POST', path: '/users', body, user, password })
  })
}

/** An instance that was created without a database gets its first one. */
async function createBase({ client, entry }: Scene): Promise<void> {
  const reply = await client.callOnce('create a database', pathOf(entry, '/databases'), { databases: [{ name: BASE }] })
  if (reply.status === 202) entry.hasBase = true
}

const changePassword = (scene: Scene) =>
  withUser(scene, usersOf(scene), user => {
    const password = newPassword(scene.random)
    const request = { action: 'change a password', method: 'PUT', user, password }
    return scene.random.chance(0.5)
      ? sendChange(scene, { ...request, path: '/users', body: { users: [{ name: user, password }] } })
      : sendChange(scene, { ...request, path: `/users/${user}`, body: { user: { password } } })
  })

const deleteUser = (scene: Scene) =>
  withUser(scene, usersOf(scene), user =>
    sendChange(scene, {
      ...{ action: 'delete a user', method: 'DELETE', path: `/users/${user}` },
      ...{ user, password: undefined },
    }),
  )

const enableRoot = (scene: Scene) =>
  withUser(scene, ['root'], user => {
    const password = newPassword(scene.random)
    return sendChange(scene, {
      ...{ action: 'enable root', method: 'POST', path: '/root', body: { password } },
      ...{ user, password },
    })
  })

const disableRoot = (scene: Scene) =>
  withUser(scene, ['root'], user =>
    sendChange(scene, {
      ...{ action: 'disable root', method: 'DELETE', path: '/root' },
      ...{ user, password: undefined },
    }),
  )

async function createDatabase({ client, entry, random }: Scene): Promise<void> {
  const name = random.pick(DATABASES)
  const body = { databases: [{ name }] }
  const reply = await client.call('create a database', 'POST', pathOf(entry, '/databases'), body)
  if (reply?.status === 202) entry.databases.add(name)
}

async function deleteDatabase({ client, entry, random }: Scene): Promise<void> {
  if (entry.databases.size === 0) return
  const name = random.pick([...entry.databases])
  const reply = await client.call('delete a database', 'DELETE', pathOf(entry, `/databases/${name}`))
  if (reply?.status === 202) entry.databases.delete(name)
}

async function grant(scene: Scene): Promise<void> {
  const { client, entry, random } = scene
  if (entry.databases.size === 0) return
  const name = random.pick([...entry.databases])
  await withUser(scene, usersOf(scene), user =>
    client.call('grant', 'PUT', pathOf(entry, `/users/${user}/databases`), { databases: [{ name }] }),
  )
}

async function revoke(scene: Scene): Promise<void> {
  const { client, entry, random } = scene
  if (entry.databases.size === 0) return
  const name = random.pick([...entry.databases])
  await withUser(scene, usersOf(scene), user =>
    client.call('revoke', 'DELETE', pathOf(entry, `/users/${user}/databases/${name}`)),
  )
}

const list = (name: string, path: string): Action => ({
  name,
  weight: 1,
  run: ({ client, entry }) => client.call(name, 'GET', pathOf(entry, path)),
})

/** What members do to the users and databases of an instance that serves. */
export const userActions: Action[] = [
  { name: 'create a user', weight: 6, run: createUser },
  { name: 'change a password', weight: 6, run: changePassword },
  { name: 'delete a user', weight: 3, run: deleteUser },
  { name: 'enable root', weight: 3, run: enableRoot },
  { name: 'disable root', weight: 2, run: disableRoot },
  { name: 'create a database', weight: 4, run: createDatabase },
  { name: 'delete a database', weight: 2, run: deleteDatabase },
  { name: 'grant', weight: 4, run: grant },
  { name: 'revoke', weight: 2, run: revoke },
  list('list users', '/users'),
  list('list databases', '/databases'),
]
