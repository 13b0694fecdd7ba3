import type { MiddlewareObj, Request } from '@middy/core'
import type { APIGatewayProxyEvent, APIGatewayProxyResult } from 'aws-lambda'
import type { Store } from '../../ports/store.ts'
import type { Clock, Log, Random } from '../clock.ts'
import { Fault, FilterFault, faultOf, forbidden, messageOf, notFound } from '../errors.ts'
import { type BodyFormat, negotiateFormat, requestFormat, serialize } from './body-format.ts'
import { parseAs, parseBody } from './parse.ts'
import { type Call, decodeSegment, type Match, type Reply, type Route } from './route.ts'

/** What the middlewares know about a request on its way to the handler. */
export interface RequestState<D> {
  started: number
  call: Call<unknown, D>
  match?: Match<D>
  /** The formats of the answer and of the request's body. */
  responseFormat?: BodyFormat
  requestFormat?: BodyFormat
  /** The body as it was sent, before it is checked. */
  rawBody?: unknown
  /** Its audit record is written, or is not needed. */
  audited?: boolean
  /** Ends when what was read is durable. */
  settled?(): Promise<void>
}

/** An API Gateway REST proxy event, with the request's state. */
export interface ApiEvent<D> extends APIGatewayProxyEvent {
  state: RequestState<D>
}

export type Middleware<D> = MiddlewareObj<ApiEvent<D>, APIGatewayProxyResult>

/** The dependencies that a pipeline needs. */
export interface PipelineDeps {
  clock: Clock
  random: Random
  log: Log
  publicUrl: string | undefined
}

const IN_PROJECT = /^\/v1\.0\/([^/]+)/

/** Makes the request's id, and reads who calls and the base URL of links. */
export function requestId<D extends PipelineDeps>(deps: () => D): Middleware<D> {
  return {
    before: async ({ event }) => {
      const { random, log, clock, publicUrl } = deps()
      const id = `req-${random.uuid()}`
      const caller = event.requestContext.authorizer ?? {}
      const global = globalRequestId(event)
      const call: Call<unknown, D> = {
        deps: deps(),
        method: event.httpMethod,
        params: {},
        query: parseQuery(event),
        body: undefined,
        project: String(caller['project_id'] ?? ''),
        user: String(caller['user_id'] ?? ''),
        admin: String(caller['roles'] ?? '')
          .split(',')
          .includes('admin'),
        requestId: id,
        baseUrl: publicUrl ?? baseUrl(event),
        log: log.child({ requestId: id, ...(global && { globalRequestId: global }) }),
      }
      event.state = { started: clock.now(), call }
    },
    after: ({ event, response }) => setRequestId(response, event),
    onError: ({ event, response }) => setRequestId(response, event),
  }
}

/** The header that tells a request's id. */
export const REQUEST_ID_HEADER = 'X-OpenStack-Request-Id'
const REQUEST_ID = /^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** The client's own id of the request, for the log only. */
function globalRequestId(event: APIGatewayProxyEvent): string | undefined {
  const id = header(event, 'x-openstack-request-id') ?? header(event, 'x-request-id')
  return id !== undefined && REQUEST_ID.test(id) ? id : undefined
}

function setRequestId(
  response: APIGatewayProxyResult | null | undefined,
  { state }: { state?: { call: { requestId: string } } },
): void {
  if (response && state) response.headers = { ...response.headers, [REQUEST_ID_HEADER]: state.call.requestId }
}

/** JSON or XML: answers by the path's suffix, else by `Accept`; requests by `Content-Type`. Throws 415. */
export function negotiation<D>(find?: (method: string, path: string) => Match<D> | undefined): Middleware<D> {
  return {
    before: async ({ event }) => {
      const { state } = event
      state.responseFormat = find?.(state.call.method, event.path)?.suffix ?? negotiateFormat(header(event, 'accept'))
      const type = header(event, 'content-type')
      if (!event.body || type === undefined) return
      const format = requestFormat(type)
      if (!format) throw new FilterFault(415, `The content type ${type.slice(0, 80)} is not supported.`)
      state.requestFormat = format
    },
  }
}

/** The path's project must be the token's own, for admins too. Throws 403, for unknown routes as well. */
export function projectCheck<D>(): Middleware<D> {
  return {
    before: async ({ event }) => {
      const { call } = event.state
      const project = projectInPath(event.path)
      if (project === undefined || (call.project !== '' && project === call.project)) return
      throw new FilterFault(403, 'User with tenant ID does not match the tenant in the URL.')
    },
  }
}

/** The project in a path, decoded; undefined if there is none. */
function projectInPath(path: string): string | undefined {
  const part = IN_PROJECT.exec(path)?.[1]
  return part === undefined ? undefined : (decodeSegment(part) ?? part)
}

/**
 * Finds the route. Throws 404 for an unknown path or method, never 405; where only admins may go 401 (as Trove) below
 * `/mgmt`, else 403.
 */
export function matchRoute<D>(find: (method: string, path: string) => Match<D> | undefined): Middleware<D> {
  return {
    before: async ({ event }) => {
      const { state } = event
      const match = find(state.call.method, event.path)
      if (!match) throw notFound()
      if (match.route.audience === 'admin' && !state.call.admin) {
        const { method, path } = match.route
        if (path.startsWith('/mgmt/')) throw new Fault(401, 'User does not have admin privileges.')
        throw forbidden(`Policy does not allow ${method} ${path} to be performed.`)
      }
      state.match = match
      state.call.params = match.params
    },
  }
}

/** Parses the body and checks it against the route's schema. Throws 400 and 413. */
export function schemaCheck<D>(): Middleware<D> {
  return {
    before: async ({ event }) => {
      const { state } = event
      const { call, match, requestFormat: format } = state
      const text = event.isBase64Encoded ? Buffer.from(event.body ?? '', 'base64').toString() : (event.body ?? '')
      const value = text.trim() === '' ? undefined : parseBody(text, format)
      state.rawBody = value
      const schema = match?.route.body
      if (!schema) return
      if (value === undefined && match.route.optionalBody) return
      call.body = parseAs(schema, value ?? {})
    },
  }
}

/** Turns what was thrown into an answer: a Fault its own, a full store 507, anything else a 500 without its text. */
export function faultResponses<D>(bodyOf: (fault: Fault) => unknown): Middleware<D> {
  return {
    onError: async (request: Request<ApiEvent<D>, APIGatewayProxyResult>) => {
      if (request.response) return
      const { error, event } = request
      const fault = faultOf(error)
      const { requestId: id = 'unknown', log } = event.state?.call ?? {}
      if (!fault) log?.error({ error: messageOf(error), stack: error?.stack }, 'request failed')
      const answer = fault ?? new Fault(500, `An unexpected error happened: ${id}.`)
      const reply = { status: answer.status, body: bodyOf(answer), headers: answer.headers }
      request.response = proxyResult(reply, event.state?.responseFormat)
    },
  }
}

/**
 * Reads of the store do not wait until what they found is durable: the answer does, once. A request that changes something
 * waits for that anyway.
 */
export function eagerReads<D extends { store: Store }>(): Middleware<D> {
  return {
    before: async ({ event: { state } }) => {
      const view = state.call.deps.store.eager?.()
      if (!view) return
      state.call.deps = { ...state.call.deps, store: view.store }
      state.settled = view.settled
    },
    after: async request => {
      try {
        await request.event.state.settled?.()
      } catch (error) {
        // What was to be answered is lost.
        request.response = null
        throw error
      }
    },
    onError: async request => {
      await request.event.state?.settled?.().catch((error: Error) => {
        request.response = undefined
        request.error = error
      })
    },
  }
}

/** A line for each request, with its outcome. */
export function accessLog<D extends PipelineDeps>(deps: () => D): Middleware<D> {
  const line = async ({ event, response }: Request<ApiEvent<D>, APIGatewayProxyResult>) => {
    const { state } = event
    if (!state) return
    const { method, project, user, log } = state.call
    const ms = deps().clock.now() - state.started
    const bytes = Buffer.byteLength(response?.body ?? '')
    const route = state.match?.route.path
    log.info({ method, route, project, user, status: response?.statusCode, ms, bytes }, 'request')
  }
  return { after: line, onError: line }
}

/** For middy: answers shortly before the function's time runs out. Throws 504. */
export const timeoutFault = (): never => {
  throw new Fault(504, 'The request could not be answered in time; parts of it may be done.')
}

/** Calls the route's handler, which `mutations` has wrapped if it changes something. */
export async function runHandler<D>({ state }: ApiEvent<D>): Promise<APIGatewayProxyResult> {
  const { match, call, responseFormat } = state
  if (!match) throw notFound()
  const route: Route<D> = match.route
  return proxyResult((await route.handle(call as Call<never, D>)) as Reply, responseFormat)
}

function proxyResult({ status, body, text, headers }: Reply, form: BodyFormat = 'json'): APIGatewayProxyResult {
  const content = text === undefined ? serialize(body, form, status) : { type: 'text/plain', body: text }
  return { statusCode: status, headers: { 'Content-Type': content.type, ...headers }, body: content.body }
}

/** A request header by its lower-case name. */
export function header(event: Pick<APIGatewayProxyEvent, 'headers'>, name: string): string | undefined {
  const direct = event.headers[name]
  if (direct !== undefined) return direct
  const entry = Object.entries(event.headers).find(([key]) => key.toLowerCase() === name)
  return entry?.[1]
}

function parseQuery({ queryStringParameters }: APIGatewayProxyEvent): Record<string, string> {
  const entries = Object.entries(queryStringParameters ?? {})
  return Object.fromEntries(entries.map(([name, value]) => [name, value ?? '']))
}

/** The request's own scheme and host, and the stage where the gateway puts one into the path. */
export function baseUrl(event: APIGatewayProxyEvent): string {
  // Each proxy on the way may have added its own; the client's is the first.
  const protocol = header(event, 'x-forwarded-proto')?.split(',')[0]?.trim()
  const scheme = protocol === 'http' ? 'http' : 'https'
  const fullPath = event.requestContext.path ?? event.path
  const stage = fullPath.endsWith(event.path) ? fullPath.slice(0, fullPath.length - event.path.length) : ''
  return `${scheme}://${header(event, 'host') ?? event.requestContext.domainName ?? 'localhost'}${stage}`
}
