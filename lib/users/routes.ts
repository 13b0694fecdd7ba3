import { z } from 'zod'
import type { Manifest } from '../datastores/manifest.ts'
import { ended } from '../guests/guest.ts'
import { badRequest, notFound } from '../kit/errors.ts'
import { paged, pageOf } from '../kit/http/paging.ts'
import { assertStorable } from '../kit/http/parse.ts'
import { ACCEPTED, bodied, type Call, ok, type Reply, type Route, route } from '../kit/http/route.ts'
import { PageQuery } from '../kit/http/schemas.ts'
import type { Platform } from '../platform/platform.ts'
import type { Foreseen } from './foreseen.ts'
import {
  assertDatabaseName,
  assertUserName,
  checkedUsers,
  isHost,
  NamedDatabases,
  NewPasswords,
  NewUsers,
  UserChanges,
} from './names.ts'
import { UserAnswer, UserDatabases, UserPage } from './schemas.ts'
import { changing, serving } from './serving.ts'
import { type UserView, userId } from './user.ts'

/** Trove's list, or openstacksdk's single one. */
const Users = z
  .object({ users: z.union([NewUsers, NewUsers.element]) })
  .transform(({ users }) => (Array.isArray(users) ? users : [users]))
const Passwords = z.object({ users: NewPasswords }).transform(({ users }) => users)
const Changes = z.object({ user: UserChanges }).transform(({ user }) => user)
const Databases = z.object({ databases: NamedDatabases }).transform(({ databases }) => databases)

/** The path's user as the agent knows it. Throws 400 for a reserved name, 404 if there is none. */
async function existing(call: Call<unknown, Platform>) {
  const { agent, manifest } = await serving(call)
  const id = idOf(call, manifest)
  return { agent, user: thereIs(id, await agent.get_user(id)) }
}

/** The path's user as it will be once all that was accepted is done. Throws likewise. */
async function toChange(call: Call<unknown, Platform>) {
  const { agent, manifest, soon } = await changing(call)
  const id = idOf(call, manifest)
  const user = thereIs(id, await soon.user(id))
  return { agent, manifest, soon, user, id: { name: user.name, host: user.host } }
}

function idOf(call: Call<unknown, Platform>, manifest: Manifest) {
  const id = userId(call.params['user'] ?? '', isHost(manifest))
  assertUserName(manifest, id.name, '%')
  return id
}

function thereIs(id: { name: string; host?: string | undefined }, user: UserView | null): UserView {
  if (!user) throw notFound(`User ${id.name}@${id.host ?? '%'} cannot be found on the instance.`)
  return user
}

async function list(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent, instance, manifest } = await serving(call)
  const { limit, marker } = pageOf(call.query)
  const { items, next } = await agent.list_users({
    limit,
    ...(marker !== undefined && { marker: userId(marker, isHost(manifest)).name }),
  })
  const url = `${call.base}/v1.0/${call.project}/instances/${instance.id}/users`
  const last = items.at(-1)
  const more =
    next === undefined || !last ? undefined : { url, query: call.query, limit, marker: `${last.name}@${last.host}` }
  return { status: 200, body: paged('users', items, more) }
}

async function create(call: Call<z.infer<typeof Users>, Platform>): Promise<Reply> {
  assertStorable(call.body)
  const { agent, manifest, soon } = await changing(call)
  const users = checkedUsers(manifest, call.body)
  for (const { name } of users) {
    if (await soon.user({ name })) throw badRequest(`User '${name}' already exists.`)
  }
  await assertDatabases(
    soon,
    users.flatMap(({ databases }) => databases),
  )
  if (users.length > 0) await agent.create_user({ users })
  return { status: 202 }
}

/** `POST /users/{name}`: the one user of the body is the one of the path. */
async function createNamed(call: Call<z.infer<typeof Users>, Platform>): Promise<Reply> {
  const [user, ...more] = call.body
  if (user?.name !== call.params['user'] || more.length > 0)
    throw badRequest('The body must have the user of the path.')
  return create(call)
}

async function assertDatabases(soon: Foreseen, databases: { name: string }[]): Promise<void> {
  for (const name of new Set(databases.map(database => database.name))) {
    if (!(await soon.hasDatabase(name))) throw notFound(`Database ${name} cannot be found on the instance.`)
  }
}

async function changePasswords(call: Call<z.infer<typeof Passwords>, Platform>): Promise<Reply> {
  assertStorable(call.body)
  const { agent, manifest, soon } = await changing(call)
  const users = []
  // One that is given many times is asked for once: each question takes its time.
  const known = new Map<string, UserView>()
  for (const { name, host, password } of call.body) {
    assertUserName(manifest, name, '%')
    const id = { name, ...(host && host !== '%' && { host }) }
    const key = `${id.host ?? ''} ${name}`
    const user = known.get(key) ?? thereIs(id, await soon.user(id))
    known.set(key, user)
    users.push({ name: user.name, host: user.host, password })
  }
  if (users.length > 0) await agent.change_passwords({ users })
  return { status: 202 }
}

async function update(call: Call<z.infer<typeof Changes>, Platform>): Promise<Reply> {
  const { agent, manifest, soon, id } = await toChange(call)
  const { name = id.name, host = id.host } = call.body
  assertUserName(manifest, name, host)
  if (name !== id.name && (await soon.user({ name }))) throw badRequest(`User '${name}' already exists.`)
  if (Object.keys(call.body).length > 0) await agent.update_attributes({ ...id, attributes: call.body })
  return { status: 202 }
}

async function grant(call: Call<z.infer<typeof Databases>, Platform>): Promise<Reply> {
  const { agent, manifest, soon, id } = await toChange(call)
  for (const { name } of call.body) assertDatabaseName(manifest, name)
  await assertDatabases(soon, call.body)
  const row = await agent.grant_access({ ...id, databases: call.body.map(({ name }) => name) })
  await ended(call.deps, row)
  return { status: 202 }
}

async function revoke(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent, user, id } = await toChange(call)
  const database = call.params['database'] ?? ''
  if (!user.databases.some(({ name }) => name === database)) {
    throw notFound(`User ${id.name}@${id.host} has no access to database ${database}.`)
  }
  await ended(call.deps, await agent.revoke_access({ ...id, database }))
  return { status: 202 }
}

const USER = '/instances/{id}/users/{user}'

const EXAMPLES = {
  users: { users: [{ name: 'ann', password: 'secret1', databases: [{ name: 'cart' }] }] },
  passwords: { users: [{ name: 'ann', password: 'secret2' }] },
  changes: { user: { password: 'secret3' } },
  grant: { databases: [{ name: 'cart' }] },
}

export const routes: Route<Platform>[] = [
  route(
    {
      method: 'GET',
      path: '/instances/{id}/users',
      suffix: true,
      summary: 'List users',
      query: PageQuery,
      answers: ok(UserPage),
    },
    list,
  ),
  bodied(
    {
      method: 'POST',
      path: '/instances/{id}/users',
      suffix: true,
      summary: 'Create users',
      body: Users,
      answers: ACCEPTED,
      example: EXAMPLES.users,
    },
    create,
  ),
  bodied(
    { method: 'POST', path: USER, summary: 'Create a user, as openstacksdk does', body: Users, answers: ACCEPTED },
    createNamed,
  ),
  bodied(
    {
      method: 'PUT',
      path: '/instances/{id}/users',
      suffix: true,
      summary: 'Change passwords',
      body: Passwords,
      answers: ACCEPTED,
      example: EXAMPLES.passwords,
    },
    changePasswords,
  ),
  route({ method: 'GET', path: USER, summary: 'Show a user', answers: ok(UserAnswer) }, async call => ({
    status: 200,
    body: { user: (await existing(call)).user },
  })),
  bodied(
    {
      method: 'PUT',
      path: USER,
      summary: "Change a user's name, password or host",
      body: Changes,
      answers: ACCEPTED,
      example: EXAMPLES.changes,
    },
    update,
  ),
  route({ method: 'DELETE', path: USER, summary: 'Delete a user', answers: ACCEPTED }, async call => {
    const { agent, id } = await toChange(call)
    await agent.delete_user(id)
    return { status: 202 }
  }),
  route(
    {
      method: 'GET',
      path: `${USER}/databases`,
      suffix: true,
      summary: "List a user's databases",
      answers: ok(UserDatabases),
    },
    async call => {
      const { agent, user } = await existing(call)
      const { name, host } = user
      return { status: 200, body: { databases: await agent.list_access({ name, host }) } }
    },
  ),
  bodied(
    {
      method: 'PUT',
      path: `${USER}/databases`,
      suffix: true,
      summary: 'Grant access',
      body: Databases,
      answers: ACCEPTED,
      example: EXAMPLES.grant,
    },
    grant,
  ),
  route(
    { method: 'DELETE', path: `${USER}/databases/{database}`, summary: 'Revoke access', answers: ACCEPTED },
    revoke,
  ),
]
