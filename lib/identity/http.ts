import type { Clock, Log } from '../kit/clock.ts'
import { ADMIN, type Claims, type IdentityService } from './account.ts'

/** A request as the gateway hands it on. */
export interface Request {
  method: string
  /** After `/identity`, still percent-encoded: `/v3/auth/tokens`, or empty. */
  path: string
  query: Record<string, string>
  /** Names in lower case. */
  headers: Record<string, string>
  body: string | undefined
  /** Where the service is reached, `http://127.0.0.1:8779`: the base of links and of the catalog. */
  baseUrl: string
}

export interface Response {
  status: number
  headers: Record<string, string>
  body: string
}

export interface Deps {
  identity: IdentityService
  clock: Clock
  log: Log
}

/** What a route's handler gets: the request, and the decoded variable parts of its path in order. */
export interface Call {
  deps: Deps
  request: Request
  params: string[]
}

export type Handler = (call: Call) => Promise<Response>

const TITLES: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  413: 'Request Entity Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

/** A request that is answered with an error in Keystone's body. */
export class Refusal extends Error {
  override name = 'Refusal'
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Always the same words, so that they do not tell which part was wrong. */
export const unauthorized = () => new Refusal(401, 'The request you have made requires authentication.')
export const forbidden = () => new Refusal(403, 'You are not authorized to perform the requested action.')
export const notFound = (what: string) => new Refusal(404, `Could not find ${what}.`)
export const badRequest = (message: string) => new Refusal(400, message)

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return {
    status,
    headers: { 'Content-Type': 'application/json', Vary: 'X-Auth-Token', ...headers },
    body: JSON.stringify(body),
  }
}

export function noContent(): Response {
  return { status: 204, headers: { Vary: 'X-Auth-Token' }, body: '' }
}

/** Keystone's error body: `{"error":{"code":404,"title":"Not Found","message":"…"}}`. */
export function refused({ status, message }: Refusal, baseUrl: string): Response {
  const challenge = { 'WWW-Authenticate': `Keystone uri="${baseUrl}/identity/v3"` }
  const error = { code: status, title: TITLES[status] ?? 'Error', message }
  return json(status, { error }, status === 401 ? challenge : status === 503 ? { 'Retry-After': '1' } : {})
}

/** Who asks, by `X-Auth-Token`, with a project or without. Throws a 401. */
export async function authenticated({ deps, request }: Call): Promise<Claims> {
  const claims = await deps.identity.tokens.read(request.headers['x-auth-token'] ?? '')
  if (!claims) throw unauthorized()
  return claims
}

export const isAdmin = (claims: Claims) => claims.roles.includes(ADMIN)

/** Who asks, if it is that user, or an admin where `admins` may too. Throws a 401 or a 403. */
export async function authenticatedAs(call: Call, userId: string | undefined, admins: boolean): Promise<Claims> {
  const claims = await authenticated(call)
  if (claims.user.id !== userId && !(admins && isAdmin(claims))) throw forbidden()
  return claims
}
