import { Fault, faultOf, overLimit, storeFull } from '../kit/errors.ts'
import { type RoutePattern, router } from '../kit/http/route.ts'
import { TooManyLogins } from '../ports/accounts.ts'
import { auditRefusal } from './audit.ts'
import { versionBody } from './bodies.ts'
import { createCredential, deleteCredential, listCredentials, showCredential } from './credentials.ts'
import {
  type KeystoneCall,
  type KeystoneDeps,
  type KeystoneHandler,
  type KeystoneRequest,
  type KeystoneResponse,
  keystoneNotFound,
  renderFault,
  renderReply,
} from './http.ts'
import { listProjects, showProject } from './projects.ts'
import { createToken, listOwnProjects, revokeToken, showCatalog, showToken } from './tokens.ts'
import { changePassword, showUser } from './users.ts'

const MAX_BODY_BYTES = 64 * 1024

/** Answers any request under `/identity`. Never rejects. */
export interface Keystone {
  handle(request: KeystoneRequest): Promise<KeystoneResponse>
}

const listVersions: KeystoneHandler = async ({ request }) => {
  return { status: 300, body: { versions: { values: [versionBody(request.baseUrl)] } } }
}
const showVersion: KeystoneHandler = async ({ request }) => {
  return { status: 200, body: { version: versionBody(request.baseUrl) } }
}

const route = (method: RoutePattern['method'], path: string, handle: KeystoneHandler) => {
  return { method, path, audience: 'anyone' as const, handle }
}

const findRoute = router([
  route('GET', '', listVersions),
  route('GET', '/v3', showVersion),
  route('POST', '/v3/auth/tokens', createToken),
  route('GET', '/v3/auth/tokens', showToken),
  route('DELETE', '/v3/auth/tokens', revokeToken),
  route('GET', '/v3/auth/catalog', showCatalog),
  route('GET', '/v3/auth/projects', listOwnProjects),
  route('GET', '/v3/projects', listProjects),
  route('GET', '/v3/projects/{projectId}', showProject),
  route('GET', '/v3/users/{userId}', showUser),
  route('POST', '/v3/users/{userId}/password', changePassword),
  route('POST', '/v3/users/{userId}/application_credentials', createCredential),
  route('GET', '/v3/users/{userId}/application_credentials', listCredentials),
  route('GET', '/v3/users/{userId}/application_credentials/{credentialId}', showCredential),
  route('DELETE', '/v3/users/{userId}/application_credentials/{credentialId}', deleteCredential),
])

/** The part of the Keystone v3 API that OpenStack's clients use, with Keystone's bodies, on the builtin identity. */
export function keystone(deps: KeystoneDeps): Keystone {
  return {
    async handle(request) {
      const response = await respond(deps, request).catch((error: unknown) => {
        return renderFault(toFault(deps, request, error), request.baseUrl)
      })
      return request.method === 'HEAD' ? { ...response, body: '' } : response
    },
  }
}

async function respond(deps: KeystoneDeps, request: KeystoneRequest): Promise<KeystoneResponse> {
  if (Buffer.byteLength(request.body ?? '') > MAX_BODY_BYTES) throw overLimit('The request is too large.')
  // `HEAD` is answered wherever `GET` is.
  const match = findRoute(request.method === 'HEAD' ? 'GET' : request.method, request.path)
  if (!match || match.suffix) throw keystoneNotFound('the requested resource')
  const isShort = deps.store?.space?.().isShort
  // A login writes nothing, and a delete frees space.
  if (isShort && match.route.method === 'POST' && match.route.handle !== createToken) throw storeFull()
  const call: KeystoneCall = { deps, request, route: match.route.path, params: match.params }
  try {
    return renderReply(await match.route.handle(call))
  } catch (error) {
    const fault = toFault(deps, request, error)
    // A flood of refusals would take the last space.
    if (!isShort) await auditRefusal(call, fault.status)
    throw fault
  }
}

function toFault({ log }: KeystoneDeps, request: KeystoneRequest, error: unknown): Fault {
  const fault = faultOf(error)
  if (fault) return fault
  if (error instanceof TooManyLogins) return new Fault(503, 'Too many logins at once.')
  // The request itself is not logged: it contains passwords.
  log.error({ err: error, method: request.method, path: request.path }, 'identity request failed')
  return new Fault(500, 'An unexpected error prevented the server from fulfilling your request.')
}
