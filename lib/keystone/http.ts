import { STATUS_CODES } from 'node:http'
import type { Clock, Log } from '../kit/clock.ts'
import { Fault, forbidden, notFound } from '../kit/errors.ts'
import type { Reply } from '../kit/http/route.ts'
import { ADMIN, type Claims, type IdentityService } from '../ports/accounts.ts'
import type { Change, Store } from '../ports/store.ts'

export interface KeystoneRequest {
  method: string
  /** The path after `/identity`, percent-encoded: `/v3/auth/tokens`, or empty. */
  path: string
  query: Record<string, string>
  /** Names in lower case. */
  headers: Record<string, string>
  body: string | undefined
  /** The URL of the service, `http://127.0.0.1:8779`: the base of links and of the catalog. */
  baseUrl: string
  /** The client's address; empty if it is not known. */
  remote: string
  /** `req-<uuid>` */
  requestId: string
}

export interface KeystoneResponse {
  status: number
  headers: Record<string, string>
  body: string
}

/** A request that changes something, for the audit. */
export interface IdentityChange {
  caller: Claims
  /** The project of the record. */
  project: string
  request: KeystoneRequest
  /** The pattern of its path. */
  route: string
  /** What it is about: the variables of its path, and what was created. */
  targets: Record<string, string>
  /** The status of the answer. */
  status: number
}

/** Keeps who did or tried what. No secret may come into a record. */
export interface IdentityAudit {
  /** The changes that record it, for the transaction that does it. */
  record(change: IdentityChange): Change[]
  /** Records a request that was refused. Never rejects. */
  recordRefusal(change: IdentityChange): Promise<void>
}

export interface KeystoneDeps {
  identity: IdentityService
  audit: IdentityAudit
  clock: Clock
  log: Log
  /** Where the accounts are. */
  store?: Pick<Store, 'space'>
}

/** The input of a route's handler: the request, and the variables of its path, decoded. */
export interface KeystoneCall {
  deps: KeystoneDeps
  request: KeystoneRequest
  /** The pattern of the path. */
  route: string
  params: Record<string, string>
  /** Who calls, once that was checked. */
  caller?: Claims
}

export type KeystoneHandler = (call: KeystoneCall) => Promise<Reply>

/** Always the same message, so that it does not reveal which part was wrong. */
export const unauthorized = () => new Fault(401, 'The request you have made requires authentication.')
export const keystoneForbidden = () => forbidden('You are not authorized to perform the requested action.')
export const keystoneNotFound = (resource: string) => notFound(`Could not find ${resource}.`)

export const NO_CONTENT: Reply = { status: 204 }

export function renderReply({ status, body, headers }: Reply): KeystoneResponse {
  const type = body === undefined ? {} : { 'Content-Type': 'application/json' }
  return {
    status,
    headers: { ...type, Vary: 'X-Auth-Token', ...headers },
    body: body === undefined ? '' : JSON.stringify(body),
  }
}

/** Keystone's error body: `{"error":{"code":404,"title":"Not Found","message":"…"}}`. */
export function renderFault({ status, message }: Fault, baseUrl: string): KeystoneResponse {
  const title = status === 413 ? 'Request Entity Too Large' : (STATUS_CODES[status] ?? 'Error')
  const challenge = { 'WWW-Authenticate': `Keystone uri="${baseUrl}/identity/v3"` }
  const headers = status === 401 ? challenge : status === 503 ? { 'Retry-After': '1' } : {}
  return renderReply({ status, body: { error: { code: status, title, message } }, headers })
}

/** The caller, by `X-Auth-Token`, with or without a project. Throws Fault 401. */
export async function requireToken(call: KeystoneCall): Promise<Claims> {
  const { deps, request } = call
  const claims = await deps.identity.tokens.read(request.headers['x-auth-token'] ?? '')
  if (!claims) throw unauthorized()
  call.caller = claims
  return claims
}

export const isAdmin = (claims: Claims) => claims.roles.includes(ADMIN)

/** The caller, who must be that user, or an admin if `allowAdmin`. Throws Fault 401 or 403. */
export async function requireUser(call: KeystoneCall, userId: string, allowAdmin: boolean): Promise<Claims> {
  const claims = await requireToken(call)
  if (claims.user.id !== userId && !(allowAdmin && isAdmin(claims))) throw keystoneForbidden()
  return claims
}
