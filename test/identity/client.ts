import type { Response } from '../../lib/identity/http.ts'
import { BASE, type Service } from './service.ts'

export interface Answer {
  status: number
  headers: Record<string, string>
  /** Parsed; undefined if empty. */
  body: unknown
}

export interface Options {
  token?: string
  subject?: string
  query?: Record<string, string>
  /** Sent as JSON; a string is sent as it is. */
  body?: unknown
}

/** One request, as the gateway would hand it on. */
export async function ask(service: Service, method: string, path: string, options: Options = {}): Promise<Answer> {
  const { token, subject, query = {}, body } = options
  const headers = {
    ...(token !== undefined && { 'x-auth-token': token }),
    ...(subject !== undefined && { 'x-subject-token': subject }),
  }
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  const response: Response = await service.keystone.handle({ method, path, query, headers, body: text, baseUrl: BASE })
  return { ...response, body: response.body === '' ? undefined : JSON.parse(response.body) }
}

/** The value at a path of keys into an answer's body. */
export function at(answer: Answer, ...keys: (string | number)[]): unknown {
  return keys.reduce<unknown>((value, key) => Reflect.get(Object(value), key), answer.body)
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
  ask(service, 'POST', '/v3/auth/tokens', { body, query })

/** A token of a seeded user for its own project, got as a client gets it. */
export async function tokenOf(service: Service, user: string, scope: unknown = { project: inDefault(user) }) {
  const answer = await login(service, passwordBody(user, `${user}-password`, scope))
  if (answer.status !== 201) throw new Error(`login: ${answer.status}`)
  return answer.headers['X-Subject-Token'] ?? ''
}
