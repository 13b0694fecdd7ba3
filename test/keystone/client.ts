import { randomUUID } from 'node:crypto'
import type { KeystoneResponse } from '../../lib/keystone/http.ts'
import { BASE, type Service } from './service.ts'

export interface ParsedResponse {
  status: number
  headers: Record<string, string>
  /** Parsed; undefined if empty. */
  body: unknown
}

export interface Options {
  token?: string
  subject?: string
  query?: Record<string, string>
  /** Sent as JSON; a string is sent unchanged. */
  body?: unknown
  /** The client's address. */
  remote?: string
}

/** Sends a request as the gateway does. */
export async function send(
  service: Service,
  method: string,
  path: string,
  options: Options = {},
): Promise<ParsedResponse> {
  const { token, subject, query = {}, body, remote = '192.0.2.1' } = options
  const headers = {
    ...(token !== undefined && { 'x-auth-token': token }),
    ...(subject !== undefined && { 'x-subject-token': subject }),
  }
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  const response: KeystoneResponse = await service.keystone.handle({
    method,
    path,
    query,
    headers,
    body: text,
    baseUrl: BASE,
    remote,
    requestId: `req-${randomUUID()}`,
  })
  return { ...response, body: response.body === '' ? undefined : JSON.parse(response.body) }
}

/** The value at a path of keys in the response's body. */
export function valueAt(response: ParsedResponse, ...keys: (string | number)[]): unknown {
  return keys.reduce<unknown>((value, key) => Reflect.get(Object(value), key), response.body)
}

export const inDefault = (name: string) => ({ name, domain: { name: 'Default' } })

export function passwordBody(user: string, password: string, scope?: unknown) {
  const identity = { methods: ['password'], password: { user: { ...inDefault(user), password } } }
  return { auth: { identity, ...(scope !== undefined && { scope }) } }
}

export function tokenBody(id: string, scope?: unknown) {
  return { auth: { identity: { methods: ['token'], token: { id } }, ...(scope !== undefined && { scope }) } }
}

export function secretBody(credential: object, scope?: unknown) {
  const identity = { methods: ['application_credential'], application_credential: credential }
  return { auth: { identity, ...(scope !== undefined && { scope }) } }
}

export const login = (service: Service, body: unknown, query = {}) =>
  send(service, 'POST', '/v3/auth/tokens', { body, query })

/** Logs a seeded user in to its own project and returns the token. */
export async function tokenOf(service: Service, user: string, scope: unknown = { project: inDefault(user) }) {
  const response = await login(service, passwordBody(user, `${user}-password`, scope))
  if (response.status !== 201) throw new Error(`login: ${response.status}`)
  return response.headers['X-Subject-Token'] ?? ''
}
