import type { MiddlewareObj, Request } from '@middy/core'
import type { APIGatewayProxyEvent, APIGatewayProxyResult } from 'aws-lambda'
import type { Clock, Log, Random } from '../clock.ts'
import { Fault, FilterFault, forbidden, notFound, reason } from '../errors.ts'
import { acceptedForm, type Form, sentForm, written } from './form.ts'
import { parseBody, validated } from './parse.ts'
import { type Call, decoded, type Match, type Reply, type Route } from './route.ts'

/** What the middlewares learn about a request on its way to the handler. */
export interface Trip<D> {
  started: number
  call: Call<unknown, D>
  match?: Match<D>
  /** The form of the answer, and of the body that came. */
  form?: Form
  sent?: Form
  /** The body as it was told, before it is checked. */
  told?: unknown
  /** Its audit record is written, or need not be. */
  audited?: boolean
}

/** An API Gateway REST proxy event with its trip. */
export interface ApiEvent<D> extends APIGatewayProxyEvent {
  trip: Trip<D>
}

export type Middleware<D> = MiddlewareObj<ApiEvent<D>, APIGatewayProxyResult>

/** What a pipeline needs of its deps. */
export interface PipelineDeps {
  clock: Clock
  random: Random
  log: Log
  publicUrl: string | undefined
}

const IN_PROJECT = /^\/v1\.0\/([^/]+)/

/** Request id, caller, and the base of links. */
export function requestId<D extends PipelineDeps>(deps: () => D): Middleware<D> {
  return {
    before: async ({ event }) => {
      const { random, log, clock, publicUrl } = deps()
      const id = `req-${random.uuid()}`
      const told = event.requestContext.authorizer ?? {}
      const global = globalId(event)
      const call: Call<unknown, D> = {
        deps: deps(),
        method: event.httpMethod,
        params: {},
        query: queryOf(event),
        body: undefined,
        project: String(told['project_id'] ?? ''),
        user: String(told['user_id'] ?? ''),
        admin: String(told['roles'] ?? '')
          .split(',')
          .includes('admin'),
        requestId: id,
        base: publicUrl ?? baseOf(event),
        log: log.child({ requestId: id, ...(global && { globalRequestId: global }) }),
      }
      event.trip = { started: clock.now(), call }
    },
    after: ({ event, response }) => tag(response, event),
    onError: ({ event, response }) => tag(response, event),
  }
}

/** The header that tells a request's id. */
export const REQUEST_ID_HEADER = 'X-OpenStack-Request-Id'
const REQUEST_ID = /^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** The id that the client goes by, for the log only: nothing is found or written by it. */
function globalId(event: APIGatewayProxyEvent): string | undefined {
  const told = header(event, 'x-openstack-request-id') ?? header(event, 'x-request-id')
  return told !== undefined && REQUEST_ID.test(told) ? told : undefined
}

function tag(
  response: APIGatewayProxyResult | null | undefined,
  { trip }: { trip?: { call: { requestId: string } } },
): void {
  if (response && trip) response.headers = { ...response.headers, [REQUEST_ID_HEADER]: trip.call.requestId }
}

/** JSON or XML: answers by the path's suffix, else by `Accept`; requests by `Content-Type`. Throws 415. */
export function negotiation<D>(find?: (method: string, path: string) => Match<D> | undefined): Middleware<D> {
  return {
    before: async ({ event }) => {
      const { trip } = event
      trip.form = find?.(trip.call.method, event.path)?.suffix ?? acceptedForm(header(event, 'accept'))
      const type = header(event, 'content-type')
      if (!event.body || type === undefined) return
      const sent = sentForm(type)
      if (!sent) throw new FilterFault(415, `The content type ${type.slice(0, 80)} is not supported.`)
      trip.sent = sent
    },
  }
}

/** The path's project must be the token's own, for admins too. Throws 403, for unknown routes as well. */
export function projectCheck<D>(): Middleware<D> {
  return {
    before: async ({ event }) => {
      const { call } = event.trip
      const project = projectOf(event.path)
      if (project === undefined || (call.project !== '' && project === call.project)) return
      throw new FilterFault(403, 'User with tenant ID does not match the tenant in the URL.')
    },
  }
}

/** The project in a path, decoded; undefined if there is none. */
function projectOf(path: string): string | undefined {
  const part = IN_PROJECT.exec(path)?.[1]
  return part === undefined ? undefined : (decoded(part) ?? part)
}

/**
 * Finds the route. Throws 404 for an unknown path or method, never 405; where only admins may go 401 (as Trove) below
 * `/mgmt`, else 403.
 */
export function routing<D>(find: (method: string, path: string) => Match<D> | undefined): Middleware<D> {
  return {
    before: async ({ event }) => {
      const { trip } = event
      const match = find(trip.call.method, event.path)
      if (!match) throw notFound()
      if (match.route.audience === 'admin' && !trip.call.admin) {
        const { method, path } = match.route
        if (path.startsWith('/mgmt/')) throw new Fault(401, 'User does not have admin privileges.')
        throw forbidden(`Policy does not allow ${method} ${path} to be performed.`)
      }
      trip.match = match
      trip.call.params = match.params
    },
  }
}

/** Parses the body and checks it against the route's schema. Throws 400 and 413. */
export function schemaCheck<D>(): Middleware<D> {
  return {
    before: async ({ event }) => {
      const { trip } = event
      const { call, match, sent } = trip
      const text = event.isBase64Encoded ? Buffer.from(event.body ?? '', 'base64').toString() : (event.body ?? '')
      const value = text.trim() === '' ? undefined : parseBody(text, sent)
      trip.told = value
      const schema = match?.route.body
      if (!schema) return
      if (value === undefined && match.route.optionalBody) return
      call.body = validated(schema, value ?? {})
    },
  }
}

/** Everything thrown becomes an answer: a Fault its own, anything else a 500 without its text. */
export function faults<D>(): Middleware<D> {
  return {
    onError: async (request: Request<ApiEvent<D>, APIGatewayProxyResult>) => {
      if (request.response) return
      const { error, event } = request
      const fault = error instanceof Fault ? error : undefined
      const { requestId: id = 'unknown', log } = event.trip?.call ?? {}
      if (!fault) log?.error({ error: reason(error), stack: error?.stack }, 'request failed')
      const answer = fault ?? new Fault(500, `An unexpected error happened: ${id}.`)
      const shown = { status: answer.status, body: answer.body(), headers: answer.headers }
      request.response = proxyResult(shown, event.trip?.form)
    },
  }
}

/** A line for each request, with its outcome. */
export function logged<D extends PipelineDeps>(deps: () => D): Middleware<D> {
  const line = async ({ event, response }: Request<ApiEvent<D>, APIGatewayProxyResult>) => {
    const { trip } = event
    if (!trip) return
    const { method, project, user, log } = trip.call
    const ms = deps().clock.now() - trip.started
    const bytes = Buffer.byteLength(response?.body ?? '')
    const route = trip.match?.route.path
    log.info({ method, route, project, user, status: response?.statusCode, ms, bytes }, 'request')
  }
  return { after: line, onError: line }
}

/** For middy: what the time of the function does not suffice for is told in time. Throws 504. */
export const outOfTime = (): never => {
  throw new Fault(504, 'The request could not be answered in time; what it asked for may be done in part.')
}

/** Calls the route's handler. */
export async function handled<D>({ trip }: ApiEvent<D>): Promise<APIGatewayProxyResult> {
  const { match, call, form } = trip
  if (!match) throw notFound()
  const found: Route<D> = match.route
  return proxyResult(await found.handle(call as Call<never, D>), form)
}

function proxyResult({ status, body, text, headers }: Reply, form: Form = 'json'): APIGatewayProxyResult {
  const shown = text === undefined ? written(body, form, status) : { type: 'text/plain', body: text }
  return { statusCode: status, headers: { 'Content-Type': shown.type, ...headers }, body: shown.body }
}

/** A request header by its lower-case name. */
export function header(event: Pick<APIGatewayProxyEvent, 'headers'>, name: string): string | undefined {
  const direct = event.headers[name]
  if (direct !== undefined) return direct
  const found = Object.entries(event.headers).find(([key]) => key.toLowerCase() === name)
  return found?.[1]
}

function queryOf({ queryStringParameters }: APIGatewayProxyEvent): Record<string, string> {
  const entries = Object.entries(queryStringParameters ?? {})
  return Object.fromEntries(entries.map(([name, value]) => [name, value ?? '']))
}

/** The request's own scheme and host, and the stage where the gateway puts one into the path. */
export function baseOf(event: APIGatewayProxyEvent): string {
  // Each proxy on the way may have added its own; the client's is the first.
  const told = header(event, 'x-forwarded-proto')?.split(',')[0]?.trim()
  const scheme = told === 'http' ? 'http' : 'https'
  const whole = event.requestContext.path ?? event.path
  const stage = whole.endsWith(event.path) ? whole.slice(0, whole.length - event.path.length) : ''
  return `${scheme}://${header(event, 'host') ?? event.requestContext.domainName ?? 'localhost'}${stage}`
}
