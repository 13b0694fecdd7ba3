import { badRequest, conflict, forbidden } from '../kit/errors.ts'
import { type AppCredential, type Claims, NameTaken, TooMany } from '../ports/accounts.ts'
import { auditedChange, auditRecords } from './audit.ts'
import { credentialBody, listBody } from './bodies.ts'
import {
  type KeystoneCall,
  type KeystoneHandler,
  keystoneForbidden,
  keystoneNotFound,
  NO_CONTENT,
  requireUser,
} from './http.ts'
import { CredentialRequest, type CredentialSpec, parseRequest } from './schemas.ts'
import { parseTimestamp } from './timestamp.ts'

const CREATED = 201

/** `POST /v3/users/{userId}/application_credentials`. The response shows the secret, which is not shown again. */
export const createCredential: KeystoneHandler = async call => {
  const caller = await requireUser(call, call.params['userId'] ?? '', false)
  const project = caller.project?.id
  // A credential must not create others that outlive it.
  if (caller.credential || project === undefined) throw keystoneForbidden()
  const spec = parseRequest(CredentialRequest, call.request.body).application_credential
  const record = { ...validated(call, caller, spec), user: caller.user.id, project }
  const { credentials } = call.deps.identity
  const secret = spec.secret ?? credentials.newSecret()
  const change = await auditedChange(call, caller, CREATED)
  const credential = await credentials
    .create(record, secret, ({ id: credentialId }) =>
      call.deps.audit.record({ ...change, targets: { ...change.targets, credentialId } }),
    )
    .catch(rethrowAsFault)
  const { requestId } = call.request
  call.deps.log.info({ user: caller.user.id, credential: credential.id, requestId }, 'application credential created')
  const body = { application_credential: { ...credentialBody(credential, call.request.baseUrl), secret } }
  return { status: CREATED, body }
}

/** Checks the requested credential against its creator. Throws Fault 400. */
function validated(
  { deps }: KeystoneCall,
  caller: Claims,
  spec: CredentialSpec,
): Omit<AppCredential, 'id' | 'user' | 'project'> {
  if (spec.unrestricted) throw badRequest('Unrestricted application credentials are not supported.')
  // Refused, because ignoring the rules would grant more than was requested.
  if (spec.access_rules?.length) throw badRequest('Access rules are not supported.')
  const roles = spec.roles?.map(({ id, name }) => id ?? name ?? '') ?? caller.roles
  if (roles.length === 0 || roles.some(role => !caller.roles.includes(role))) {
    throw badRequest('Invalid application credential: a role is not one of yours in this project.')
  }
  const expires = spec.expires_at ? parseTimestamp(spec.expires_at) : undefined
  if (spec.expires_at && (expires === undefined || expires <= deps.clock.now())) {
    throw badRequest("Invalid input for field 'expires_at': must be in the future.")
  }
  return {
    name: spec.name,
    roles: [...new Set(roles)],
    ...(spec.description && { description: spec.description }),
    ...(expires !== undefined && { expires }),
  }
}

function rethrowAsFault(error: unknown): never {
  if (error instanceof NameTaken) throw conflict('An application credential of that name exists.')
  if (error instanceof TooMany) throw forbidden('Unable to create more application credentials.')
  throw error
}

/** `GET /v3/users/{userId}/application_credentials`; `?name=` filters. */
export const listCredentials: KeystoneHandler = async call => {
  const { userId = '' } = call.params
  await requireUser(call, userId, true)
  const { baseUrl, query } = call.request
  const all = await call.deps.identity.credentials.listOf(userId)
  const bodies = all
    .filter(({ name }) => query['name'] === undefined || name === query['name'])
    .map(credential => credentialBody(credential, baseUrl))
  const path = `users/${encodeURIComponent(userId)}/application_credentials`
  return { status: 200, body: listBody('application_credentials', bodies, baseUrl, path) }
}

/** `GET /v3/users/{userId}/application_credentials/{credentialId}` */
export const showCredential: KeystoneHandler = async call => {
  await requireUser(call, call.params['userId'] ?? '', true)
  const credential = await requireCredential(call)
  return { status: 200, body: { application_credential: credentialBody(credential, call.request.baseUrl) } }
}

/** `DELETE /v3/users/{userId}/application_credentials/{credentialId}` */
export const deleteCredential: KeystoneHandler = async call => {
  const caller = await requireUser(call, call.params['userId'] ?? '', true)
  if (caller.credential) throw keystoneForbidden()
  const credential = await requireCredential(call)
  const { deps, request } = call
  await deps.identity.credentials.remove(credential, await auditRecords(call, caller, NO_CONTENT.status))
  const { requestId } = request
  deps.log.info({ user: credential.user, credential: credential.id, requestId }, 'application credential deleted')
  return NO_CONTENT
}

async function requireCredential({ deps, params }: KeystoneCall): Promise<AppCredential> {
  const { userId = '', credentialId = '' } = params
  const credential = await deps.identity.credentials.byId(credentialId)
  if (credential?.user !== userId) throw keystoneNotFound('application credential')
  return credential
}
