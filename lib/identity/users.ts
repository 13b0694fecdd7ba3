import { userBody } from './bodies.ts'
import { authenticatedAs, type Handler, json, noContent, notFound, unauthorized } from './http.ts'
import { PasswordRequest, parse } from './schemas.ts'

/** `GET /v3/users/{id}`: oneself, for an admin anybody. */
export const showUser: Handler = async call => {
  const [id = ''] = call.params
  await authenticatedAs(call, id, true)
  const user = await call.deps.identity.accounts.user(id)
  if (!user) throw notFound('user')
  return json(200, { user: userBody(user, call.request.baseUrl) })
}

/** `POST /v3/users/{id}/password`: one's own, by the one that was. All tokens end. */
export const changePassword: Handler = async call => {
  const [id = ''] = call.params
  await authenticatedAs(call, id, false)
  const { user } = parse(PasswordRequest, call.request.body)
  const { accounts, logins } = call.deps.identity
  if (!(await logins.byPassword({ id }, user.original_password))) throw unauthorized()
  await accounts.setPassword(id, user.password)
  call.deps.log.info({ user: id }, 'password changed')
  return noContent()
}
