import type { AppCredential, Claims } from './account.ts'
import { Taken, TooMany } from './account.ts'
import { credentialBody, listBody } from './bodies.ts'
import {
  authenticatedAs,
  badRequest,
  type Call,
  forbidden,
  type Handler,
  json,
  noContent,
  notFound,
  Refusal,
} from './http.ts'
import { CredentialRequest, type CredentialWish, parse } from './schemas.ts'
import { instant } from './timestamp.ts'

/** `POST /v3/users/{id}/application_credentials`. The answer shows the secret, for the only time. */
export const createCredential: Handler = async call => {
  const caller = await authenticatedAs(call, call.params[0], false)
  const project = caller.project?.id
  // A credential must not make itself heirs that outlive it.
  if (caller.credential || project === undefined) throw forbidden()
  const wish = parse(CredentialRequest, call.request.body).application_credential
  const wanted = { ...checked(call, caller, wish), user: caller.user.id, project }
  const { credentials } = call.deps.identity
  const secret = wish.secret ?? credentials.newSecret()
  const credential = await credentials.create(wanted, secret).catch(refuse)
  call.deps.log.info({ user: caller.user.id, credential: credential.id }, 'application credential created')
  return json(201, { application_credential: { ...credentialBody(credential, call.request.baseUrl), secret } })
}

function checked({ deps }: Call, caller: Claims, wish: CredentialWish): Omit<AppCredential, 'id' | 'user' | 'project'> {
  if (wish.unrestricted) throw badRequest('Unrestricted application credentials are not supported.')
  // Ignoring them would give more than was asked for.
  if (wish.access_rules?.length) throw badRequest('Access rules are not supported.')
  const roles = wish.roles?.map(({ id, name }) => id ?? name ?? '') ?? caller.roles
  if (roles.length === 0 || roles.some(role => !caller.roles.includes(role))) {
    throw badRequest('Invalid application credential: a role is not one of yours in this project.')
  }
  const expires = wish.expires_at ? instant(wish.expires_at) : undefined
  if (wish.expires_at && (expires === undefined || expires <= deps.clock.now())) {
    throw badRequest("Invalid input for field 'expires_at': not a time to come.")
  }
  return {
    name: wish.name,
    roles: [...new Set(roles)],
    ...(wish.description && { description: wish.description }),
    ...(expires !== undefined && { expires }),
  }
}

function refuse(error: unknown): never {
  if (error instanceof Taken) throw new Refusal(409, 'An application credential of that name exists.')
  if (error instanceof TooMany) throw new Refusal(403, 'Unable to create more application credentials.')
  throw error
}

/** `GET /v3/users/{id}/application_credentials`; `?name=` narrows. */
export const listCredentials: Handler = async call => {
  const [userId = ''] = call.params
  await authenticatedAs(call, userId, true)
  const { baseUrl, query } = call.request
  const all = await call.deps.identity.credentials.listOf(userId)
  const bodies = all
    .filter(({ name }) => query['name'] === undefined || name === query['name'])
    .map(credential => credentialBody(credential, baseUrl))
  const path = `users/${encodeURIComponent(userId)}/application_credentials`
  return json(200, listBody('application_credentials', bodies, baseUrl, path))
}

/** `GET /v3/users/{id}/application_credentials/{id}` */
export const showCredential: Handler = async call => {
  await authenticatedAs(call, call.params[0], true)
  const credential = await found(call)
  return json(200, { application_credential: credentialBody(credential, call.request.baseUrl) })
}

/** `DELETE /v3/users/{id}/application_credentials/{id}` */
export const deleteCredential: Handler = async call => {
  const caller = await authenticatedAs(call, call.params[0], true)
  if (caller.credential) throw forbidden()
  const credential = await found(call)
  await call.deps.identity.credentials.remove(credential)
  call.deps.log.info({ user: credential.user, credential: credential.id }, 'application credential deleted')
  return noContent()
}

async function found({ deps, params: [userId = '', id = ''] }: Call): Promise<AppCredential> {
  const credential = await deps.identity.credentials.byId(id)
  if (credential?.user !== userId) throw notFound('application credential')
  return credential
}
