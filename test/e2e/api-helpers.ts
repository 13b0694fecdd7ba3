import { request as httpRequest } from 'node:http'
import pg from 'pg'
import { assertDescribed } from '../openapi/answers.ts'
import { type Answer, parseJson, type Session, until } from './coffer.ts'

/** The response to a raw request, not parsed. */
export interface RawResponse {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
}

/** Sends a request with its path exactly as given: `fetch` would resolve `%2e%2e`. */
export function rawRequest(
  method: string,
  base: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string | Buffer,
): Promise<RawResponse> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(base)
    const request = httpRequest({ hostname, port, method, path, headers, agent: false }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', chunk => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

/** A name as troveclient writes it into a path: dots are encoded too. */
export const pathSegment = (name: string) => encodeURIComponent(name).replaceAll('.', '%2e')

/** The name, code and message of a fault in Trove's envelope. Throws if the response is no fault. */
export function faultOf({ body, text }: Pick<Answer, 'body' | 'text'>): {
  name: string
  code: number
  message: string
} {
  const [entry, ...rest] = Object.entries(body ?? {})
  const [name, fault] = entry ?? []
  if (!name || rest.length > 0 || !isFault(fault)) throw new Error(`no fault: ${text.slice(0, 300)}`)
  return { name, ...fault }
}

function isFault(value: unknown): value is { code: number; message: string } {
  return typeof value === 'object' && value !== null && 'code' in value && 'message' in value
}

/** Whether an error has one of the three bodies that Trove's clients understand. */
export function isReadableFault({ status, body }: Pick<Answer, 'status' | 'body'>): boolean {
  if (typeof body !== 'object' || body === null) return false
  if (status === 401 && body.error?.code === 401) return true
  if (typeof body.message === 'string' && String(body.code).startsWith(`${status} `)) return true
  const values = Object.values(body)
  return values.length === 1 && isFault(values[0]) && values[0].code === status && typeof values[0].message === 'string'
}

/** The address of the instance's database. */
export function endpointOf(instance: Answer['body']): { host: string; port: number } {
  const [{ address, port = 5432 }] = instance.addresses
  return { host: address, port }
}

/** Runs one statement as that user of the instance's database. */
export async function query(
  instance: Answer['body'],
  login: { user: string; password: string; database: string },
  text: string,
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ ...endpointOf(instance), ...login, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

/** Polls until the user with that id exists (200) or not (404), and returns the last response. */
export function waitForUser(session: Session, users: string, id: string, status: 200 | 404): Promise<Answer> {
  return until(`${status} of user ${id}`, async () => {
    const answer = await session.call('GET', `${users}/${pathSegment(id)}`)
    return answer.status === status && answer
  })
}

/** The names on each page of a list; follows the links as clients do. */
export async function namesByPage(session: Session, key: string, path: string): Promise<string[][]> {
  const all: string[][] = []
  for (let next: string | undefined = path; next !== undefined; ) {
    const { body } = await session.call('GET', next)
    all.push(body[key].map(({ name }: { name: string }) => name))
    next = body.links?.[0].href
  }
  return all
}

/** The code and message of a fault, in one line. Throws if the status is another. */
export async function refusal(request: Promise<Answer>): Promise<string> {
  const answer = await request
  const { code, message } = faultOf(answer)
  if (code !== answer.status) throw new Error(`${answer.status} says that it is ${code}`)
  return `${code} ${message}`
}

/** Valid bodies, by method and path: each would change something if the request were allowed. */
export const BODIES: Record<string, unknown> = {
  'PUT /instances/{id}': { instance: { name: 'store' } },
  'POST /mgmt/instances/{id}/action': { stop: {} },
  'PATCH /instances/{id}': { instance: { name: 'store' } },
  'POST /instances': { instance: { name: 'theirs', flavorRef: 1, volume: { size: 1 } } },
  'POST /instances/{id}/action': { reset_status: { force_delete: true } },
  'POST /instances/{id}/operations/{operation_id}/action': { cancel: {} },
  'POST /instances/{id}/databases': { databases: [{ name: 'theirs' }] },
  'POST /instances/{id}/users': { users: [{ name: 'theirs', password: 'pw' }] },
  'POST /instances/{id}/users/{user}': { users: { name: 'theirs', password: 'pw' } },
  'PUT /instances/{id}/users': { users: [{ name: 'ann', password: 'theirs1' }] },
  'PUT /instances/{id}/users/{user}': { user: { name: 'theirs' } },
  'PUT /instances/{id}/users/{user}/databases': { databases: [{ name: 'cart' }] },
  'POST /instances/{id}/root': { password: 'theirs1' },
  'PUT /mgmt/quotas/{project}': { quotas: { instances: 1 } },
  'POST /mgmt/datastore-versions': {
    version: { name: 'theirs', datastore_name: 'theirs', datastore_manager: 'postgresql', image: '18', active: false },
  },
  'PATCH /mgmt/datastore-versions/{id}': { name: 'theirs' },
  'POST /mgmt/hosts/{host}/action': { drain: {} },
  'POST /instances/{id}/ssl': { ssl: { disable: true } },
}
export const bodyOf = ({ method, path }: { method: string; path: string }) => BODIES[`${method} ${path}`]

/** Calls a path after `/v1.0/{project}` exactly as written; a body that is no string or bytes is sent as JSON. */
export type ExactCall = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Answer>

export const exactCaller =
  ({ base }: { base: string }, { project, token }: Session): ExactCall =>
  async (method, path, body, extraHeaders = {}) => {
    const plain = body === undefined || typeof body === 'string' || Buffer.isBuffer(body)
    const headers = {
      'x-auth-token': token,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...extraHeaders,
    }
    const url = `/v1.0/${project}${path}`
    const answer = await rawRequest(method, base, url, headers, plain ? body : JSON.stringify(body))
    const parsed = { ...answer, headers: new Headers(), body: parseJson(answer.text) }
    const type = String(answer.headers['content-type'])
    assertDescribed(method, url, { status: answer.status, type, body: parsed.body })
    return parsed
  }
