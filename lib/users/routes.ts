import { ACCEPTED, ok, type Route, route, routeWithBody } from '../kit/http/route.ts'
import { PageQuery } from '../kit/http/schemas.ts'
import type { Platform } from '../platform/platform.ts'
import { UserAnswer, UserDatabases, UserPage } from './schemas.ts'
import { GrantBody, grantAccess, listAccess, revokeAccess } from './verbs/access.ts'
import { changePasswords, PasswordsBody } from './verbs/change-passwords.ts'
import { CreateBody, createNamedUser, createUsers } from './verbs/create.ts'
import { deleteUser } from './verbs/delete.ts'
import { listUsers } from './verbs/list.ts'
import { showUser } from './verbs/show.ts'
import { UpdateBody, updateUser } from './verbs/update.ts'

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
      response: ok(UserPage),
    },
    listUsers,
  ),
  routeWithBody(
    {
      method: 'POST',
      path: '/instances/{id}/users',
      suffix: true,
      summary: 'Create users',
      body: CreateBody,
      response: ACCEPTED,
      example: EXAMPLES.users,
    },
    createUsers,
  ),
  routeWithBody(
    {
      method: 'POST',
      path: USER,
      summary: 'Create a user, as openstacksdk does',
      body: CreateBody,
      response: ACCEPTED,
    },
    createNamedUser,
  ),
  routeWithBody(
    {
      method: 'PUT',
      path: '/instances/{id}/users',
      suffix: true,
      summary: 'Change passwords',
      body: PasswordsBody,
      response: ACCEPTED,
      example: EXAMPLES.passwords,
    },
    changePasswords,
  ),
  route({ method: 'GET', path: USER, summary: 'Show a user', response: ok(UserAnswer) }, showUser),
  routeWithBody(
    {
      method: 'PUT',
      path: USER,
      summary: "Change a user's name, password or host",
      body: UpdateBody,
      response: ACCEPTED,
      example: EXAMPLES.changes,
    },
    updateUser,
  ),
  route({ method: 'DELETE', path: USER, summary: 'Delete a user', response: ACCEPTED }, deleteUser),
  route(
    {
      method: 'GET',
      path: `${USER}/databases`,
      suffix: true,
      summary: "List a user's databases",
      response: ok(UserDatabases),
    },
    listAccess,
  ),
  routeWithBody(
    {
      method: 'PUT',
      path: `${USER}/databases`,
      suffix: true,
      summary: 'Grant access',
      body: GrantBody,
      response: ACCEPTED,
      example: EXAMPLES.grant,
    },
    grantAccess,
  ),
  route(
    { method: 'DELETE', path: `${USER}/databases/{database}`, summary: 'Revoke access', response: ACCEPTED },
    revokeAccess,
  ),
]
