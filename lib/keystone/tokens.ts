import { forbidden } from '../kit/errors.ts'
import type { Reply } from '../kit/http/route.ts'
import type { Claims } from '../ports/accounts.ts'
import { auditRecords } from './audit.ts'
import { catalogBody, listBody, projectBody, tokenBody } from './bodies.ts'
import {
  isAdmin,
  type KeystoneCall,
  type KeystoneHandler,
  keystoneForbidden,
  keystoneNotFound,
  NO_CONTENT,
  requireToken,
} from './http.ts'
import { issueToken } from './login.ts'
import { AuthRequest, parseRequest } from './schemas.ts'

interface IssuedToken {
  token: string
  claims: Claims
}

function tokenReply({ request }: KeystoneCall, status: number, { token, claims }: IssuedToken): Reply {
  const body = tokenBody(claims, request.baseUrl, !('nocatalog' in request.query))
  return { status, body, headers: { 'X-Subject-Token': token } }
}

/** `POST /v3/auth/tokens` */
export const createToken: KeystoneHandler = async call => {
  const { auth } = parseRequest(AuthRequest, call.request.body)
  return tokenReply(call, 201, await issueToken(call, auth))
}

/** `GET` and `HEAD /v3/auth/tokens` */
export const showToken: KeystoneHandler = async call => tokenReply(call, 200, await subjectToken(call))

/** `DELETE /v3/auth/tokens` */
export const revokeToken: KeystoneHandler = async call => {
  const { claims } = await subjectToken(call)
  const records = await auditRecords(call, call.caller ?? claims, NO_CONTENT.status)
  await call.deps.identity.tokens.revoke(claims, records)
  return NO_CONTENT
}

/** The token in `X-Subject-Token`: one of the caller's own, for an admin any. Throws Fault 401, 403 or 404. */
async function subjectToken(call: KeystoneCall): Promise<IssuedToken> {
  const caller = await requireToken(call)
  const token = call.request.headers['x-subject-token'] ?? ''
  const claims = await call.deps.identity.tokens.read(token)
  // Not quoted: it may be a real token with a typing error.
  if (!claims) throw keystoneNotFound('token')
  if (claims.user.id !== caller.user.id && !isAdmin(caller)) throw keystoneForbidden()
  return { token, claims }
}

/** `GET /v3/auth/catalog` */
export const showCatalog: KeystoneHandler = async call => {
  const { project } = await requireToken(call)
  if (!project) throw forbidden('A project-scoped token is required to produce a service catalog.')
  const { baseUrl } = call.request
  return { status: 200, body: listBody('catalog', catalogBody(baseUrl, project.id), baseUrl, 'auth/catalog') }
}

/** `GET /v3/auth/projects`: the projects that a token of the caller can be scoped to. */
export const listOwnProjects: KeystoneHandler = async call => {
  const { user } = await requireToken(call)
  const { baseUrl } = call.request
  const projects = await call.deps.identity.accounts.projectsOf(user.id)
  const bodies = projects.map(project => projectBody(project, baseUrl))
  return { status: 200, body: listBody('projects', bodies, baseUrl, 'auth/projects') }
}
