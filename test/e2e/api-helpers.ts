import { request as httpRequest } from 'node:http'
import pg from 'pg'
import { assertDescribed } from '../openapi/answers.ts'
import { type Answer, type Session, until } from './coffer.ts'

/** What a raw request answers: as it came. */
export interface Raw {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
}

/** A request with its path exactly as given: `fetch` would take `%2e%2e` for a way up. */
export function raw(
  method: string,
  base: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string | Buffer,
): Promise<Raw> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(base)
    const sent = httpRequest({ hostname, port, method, path, headers, agent: false }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', chunk => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** A name as troveclient writes it into a path: dots too. */
export const segment = (name: string) => encodeURIComponent(name).replaceAll('.', '%2e')

/** The fault in Trove's envelope: its name, code and message. Throws if the answer is none. */
export function faultOf({ body, text }: Pick<Answer, 'body' | 'text'>): {
  name: string
  code: number
  message: string
} {
  const [entry, ...more] = Object.entries(body ?? {})
  const [name, fault] = entry ?? []
  if (!name || more.length > 0 || !isFault(fault)) throw new Error(`no fault: ${text.slice(0, 300)}`)
  return { name, ...fault }
}

function isFault(value: unknown): value is { code: number; message: string } {
  return typeof value === 'object' && value !== null && 'code' in value && 'message' in value
}

/** Whether an error has one of the three bodies that Trove's clients can read. */
export function readable({ status, body }: Pick<Answer, 'status' | 'body'>): boolean {
  if (typeof body !== 'object' || body === null) return false
  if (status === 401 && body.error?.code === 401) return true
  if (typeof body.message === 'string' && String(body.code).startsWith(`${status} `)) return true
  const values = Object.values(body)
  return values.length === 1 && isFault(values[0]) && values[0].code === status && typeof values[0].message === 'string'
}

/** Where the instance's database is. */
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

/** Asks until the user (by its id) is there, or gone, and answers what was said last. */
export function userIs(session: Session, users: string, id: string, status: 200 | 404): Promise<Answer> {
  return until(`${status} of user ${id}`, async () => {
    const answer = await session.call('GET', `${users}/${segment(id)}`)
    return answer.status === status && answer
  })
}

/** Names of every page of a list, read by its links as clients do. */
export async function pages(session: Session, key: string, path: string): Promise<string[][]> {
  const all: string[][] = []
  for (let next: string | undefined = path; next !== undefined; ) {
    const { body } = await session.call('GET', next)
    all.push(body[key].map(({ name }: { name: string }) => name))
    next = body.links?.[0].href
  }
  return all
}

/** The code and message of a refusal in Trove's envelope, in one line. */
export async function refusal(asked: Promise<Answer>): Promise<string> {
  const answer = await asked
  const { code, message } = faultOf(answer)
  if (code !== answer.status) throw new Error(`${answer.status} says that it is ${code}`)
  return `${code} ${message}`
}

/** Bodies that would do something, were they let through; by method and path. */
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
  'POST /instances/{id}/ssl': { ssl: { disable: true } },
}
export const bodyOf = ({ method, path }: { method: string; path: string }) => BODIES[`${method} ${path}`]

/** Calls a path after `/v1.0/{project}` exactly as written; a body that is no string or bytes is sent as JSON. */
export type Exact = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>

export const exact =
  ({ base }: { base: string }, { project, token }: Session): Exact =>
  async (method, path, body, more = {}) => {
    const plain = body === undefined || typeof body === 'string' || Buffer.isBuffer(body)
    const headers = {
      'x-auth-token': token,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...more,
    }
    const whole = `/v1.0/${project}${path}`
    const answer = await raw(method, base, whole, headers, plain ? body : JSON.stringify(body))
    const got = { ...answer, headers: new Headers(), body: parsed(answer.text) }
    const type = String(answer.headers['content-type'])
    assertDescribed(method, whole, { status: answer.status, type, body: got.body })
    return got
  }

function parsed(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text)
  } catch {
    return text
  }
}
