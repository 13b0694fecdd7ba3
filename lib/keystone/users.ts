import { auditRecords } from './audit.ts'
import { userBody } from './bodies.ts'
import { type KeystoneHandler, keystoneNotFound, NO_CONTENT, requireUser, unauthorized } from './http.ts'
import { PasswordRequest, parseRequest } from './schemas.ts'

/** `GET /v3/users/{userId}`: the caller, for an admin any user. */
export const showUser: KeystoneHandler = async call => {
  const { userId = '' } = call.params
  await requireUser(call, userId, true)
  const user = await call.deps.identity.accounts.user(userId)
  if (!user) throw keystoneNotFound('user')
  return { status: 200, body: { user: userBody(user, call.request.baseUrl) } }
}

/** `POST /v3/users/{userId}/password`: requires the current password, and ends all tokens of the user. */
export const changePassword: KeystoneHandler = async call => {
  const { userId = '' } = call.params
  const caller = await requireUser(call, userId, false)
  const { user } = parseRequest(PasswordRequest, call.request.body)
  const { accounts, logins } = call.deps.identity
  const { remote, requestId } = call.request
  if (!(await logins.byPassword({ id: userId }, user.original_password, remote))) {
    call.deps.log.warn({ user: userId, remote, requestId }, 'password change refused')
    throw unauthorized()
  }
  await accounts.setPassword(userId, user.password, await auditRecords(call, caller, NO_CONTENT.status))
  call.deps.log.info({ user: userId, requestId }, 'password changed')
  return NO_CONTENT
}
