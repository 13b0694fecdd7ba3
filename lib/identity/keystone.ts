import { Busy } from './account.ts'
import { versionBody } from './bodies.ts'
import { createCredential, deleteCredential, listCredentials, showCredential } from './credentials.ts'
import { type Deps, type Handler, json, notFound, Refusal, type Request, type Response, refused } from './http.ts'
import { listProjects, showProject } from './projects.ts'
import { createToken, listOwnProjects, revokeToken, showCatalog, showToken } from './tokens.ts'
import { changePassword, showUser } from './users.ts'

const MOST_BYTES = 64 * 1024

/** Answers any request under `/identity`. Never rejects. */
export interface Keystone {
  handle(request: Request): Promise<Response>
}

const versions: Handler = async ({ request }) => json(300, { versions: { values: [versionBody(request.baseUrl)] } })
const version: Handler = async ({ request }) => json(200, { version: versionBody(request.baseUrl) })

/** `*` stands for one variable part. `HEAD` is answered wherever `GET` is. */
const ROUTES: [method: string, path: string, handler: Handler][] = [
  ['GET', '', versions],
  ['GET', 'v3', version],
  ['POST', 'v3/auth/tokens', createToken],
  ['GET', 'v3/auth/tokens', showToken],
  ['DELETE', 'v3/auth/tokens', revokeToken],
  ['GET', 'v3/auth/catalog', showCatalog],
  ['GET', 'v3/auth/projects', listOwnProjects],
  ['GET', 'v3/projects', listProjects],
  ['GET', 'v3/projects/*', showProject],
  ['GET', 'v3/users/*', showUser],
  ['POST', 'v3/users/*/password', changePassword],
  ['POST', 'v3/users/*/application_credentials', createCredential],
  ['GET', 'v3/users/*/application_credentials', listCredentials],
  ['GET', 'v3/users/*/application_credentials/*', showCredential],
  ['DELETE', 'v3/users/*/application_credentials/*', deleteCredential],
]

/** The Keystone v3 surface of the builtin identity: the part that OpenStack's clients use, in Keystone's bodies. */
export function keystone(deps: Deps): Keystone {
  return {
    async handle(request) {
      const response = await answer(deps, request).catch((error: unknown) => failed(deps, request, error))
      return request.method === 'HEAD' ? { ...response, body: '' } : response
    },
  }
}

async function answer(deps: Deps, request: Request): Promise<Response> {
  if (Buffer.byteLength(request.body ?? '') > MOST_BYTES) throw new Refusal(413, 'The request is too large.')
  const method = request.method === 'HEAD' ? 'GET' : request.method
  const parts = segments(request.path)
  for (const [verb, path, handler] of ROUTES) {
    const params = verb === method && parts ? match(path, parts) : undefined
    if (params) return handler({ deps, request, params })
  }
  throw notFound('the requested resource')
}

function failed({ log }: Deps, request: Request, error: unknown): Response {
  if (error instanceof Refusal) return refused(error, request.baseUrl)
  if (error instanceof Busy) return refused(new Refusal(503, 'Too many logins at once.'), request.baseUrl)
  // The request itself is not logged: it holds passwords.
  log.error({ err: error, method: request.method, path: request.path }, 'identity request failed')
  const message = 'An unexpected error prevented the server from fulfilling your request.'
  return refused(new Refusal(500, message), request.baseUrl)
}

/** The decoded parts of a path, without a slash at its end; nothing if it cannot be decoded. */
function segments(path: string): string[] | undefined {
  try {
    return path.replace(/^\//, '').replace(/\/$/, '').split('/').map(decodeURIComponent)
  } catch {
    return undefined
  }
}

/** The variable parts if the path fits, else nothing. */
function match(pattern: string, parts: string[]): string[] | undefined {
  const wanted = pattern.split('/')
  if (wanted.length !== parts.length) return undefined
  const params: string[] = []
  for (const [index, part] of parts.entries()) {
    if (wanted[index] === '*' && part !== '') params.push(part)
    else if (wanted[index] !== part) return undefined
  }
  return params
}
