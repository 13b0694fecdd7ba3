import type { Claims } from './account.ts'
import { catalogBody, listBody, projectBody, tokenBody } from './bodies.ts'
import {
  authenticated,
  type Call,
  forbidden,
  type Handler,
  isAdmin,
  json,
  noContent,
  notFound,
  Refusal,
} from './http.ts'
import { logIn } from './login.ts'
import { AuthRequest, parse } from './schemas.ts'

const answer = ({ request }: Call, status: number, token: string, claims: Claims) => {
  const body = tokenBody(claims, request.baseUrl, !('nocatalog' in request.query))
  return json(status, body, { 'X-Subject-Token': token })
}

/** `POST /v3/auth/tokens` */
export const createToken: Handler = async call => {
  const { auth } = parse(AuthRequest, call.request.body)
  const { token, claims } = await logIn(call, auth)
  return answer(call, 201, token, claims)
}

/** `GET` and `HEAD /v3/auth/tokens` */
export const showToken: Handler = async call => {
  const { token, claims } = await subject(call)
  return answer(call, 200, token, claims)
}

/** `DELETE /v3/auth/tokens` */
export const revokeToken: Handler = async call => {
  const { claims } = await subject(call)
  await call.deps.identity.tokens.revoke(claims)
  return noContent()
}

/** The token that is spoken of: one's own, or for an admin anybody's. */
async function subject(call: Call): Promise<{ token: string; claims: Claims }> {
  const caller = await authenticated(call)
  const token = call.request.headers['x-subject-token'] ?? ''
  const claims = await call.deps.identity.tokens.read(token)
  // Not quoted: it may be a real token with a slip in it.
  if (!claims) throw notFound('token')
  if (claims.user.id !== caller.user.id && !isAdmin(caller)) throw forbidden()
  return { token, claims }
}

/** `GET /v3/auth/catalog` */
export const showCatalog: Handler = async call => {
  const { project } = await authenticated(call)
  if (!project) throw new Refusal(403, 'A project-scoped token is required to produce a service catalog.')
  const { baseUrl } = call.request
  return json(200, listBody('catalog', catalogBody(baseUrl, project.id), baseUrl, 'auth/catalog'))
}

/** `GET /v3/auth/projects`: what a token can be scoped to. */
export const listOwnProjects: Handler = async call => {
  const { user } = await authenticated(call)
  const { baseUrl } = call.request
  const projects = await call.deps.identity.accounts.projectsOf(user.id)
  const bodies = projects.map(project => projectBody(project, baseUrl))
  return json(200, listBody('projects', bodies, baseUrl, 'auth/projects'))
}
