import { isUtf8 } from 'node:buffer'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { APIGatewayProxyEvent, APIGatewayProxyResult, Context } from 'aws-lambda'
import { handler as api } from '../../functions/api.ts'
import { handler as authorizer } from '../../functions/authorizer.ts'
import { handler as enrol } from '../../functions/enrol.ts'
import { handler as identity } from '../../functions/identity.ts'
import type { Log } from '../../lib/kit/clock.ts'
import { Fault, FilterFault, messageOf } from '../../lib/kit/errors.ts'
import { negotiateFormat } from '../../lib/kit/http/body-format.ts'
import { type ApiEvent, REQUEST_ID_HEADER } from '../../lib/kit/http/pipeline.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { getPlatform } from '../../lib/wiring/current.ts'
import { readBody } from './bodies.ts'
import { authorizerEvent, contextOf, type Incoming, proxyEvent } from './events.ts'
import { type GatewayLimits, isLocal } from './limits.ts'
import { loginLane } from './login-lane.ts'
import { bodyRefusal, internalErrorResult, newRequestId, refusal, rejectUnreadable, unauthorized } from './refusals.ts'

/** Time limits for slow or silent clients, in milliseconds. */
const HEADERS_MS = 10_000
const REQUEST_MS = 30_000
const TIMEOUT_MS = 29_000
const KEEP_ALIVE_MS = 65_000
/** How often connections are looked at that take too long. */
const CHECK_MS = 5_000
/** Further ones are closed at once. Each costs some 20 kB, and a file descriptor of which a process may have few. */
const MAX_CONNECTIONS = 5_000

/**
 * The gateway of the local cloud: turns requests into API Gateway's events, and the functions' results into
 * responses.
 */
export interface Gateway {
  server: Server
  /** Takes no new requests, and waits 5 s at most for those in progress. */
  close(): Promise<void>
}

export async function gateway(options: {
  host: string
  port: number
  log: Log
  edge: GatewayLimits
}): Promise<Gateway> {
  const { host, port, log, edge } = options
  const server = createServer(
    {
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      connectionsCheckingInterval: CHECK_MS,
      maxHeaderSize: 16_384,
    },
    (request, response) => {
      serveRequest(request, response, edge, log).catch(error => {
        log.error({ error: messageOf(error) }, 'response not sent')
        response.destroy()
      })
    },
  )
  // Longer than clients and proxies keep a connection: a request sent while it closes would fail.
  server.keepAliveTimeout = KEEP_ALIVE_MS
  server.maxConnections = MAX_CONNECTIONS
  server.on('drop', () => edge.registry.count('coffer_connections_dropped_total', {}))
  server.on('clientError', (error, socket) => rejectUnreadable(error, socket, log))
  server.listen(port, host)
  await once(server, 'listening')
  return {
    server,
    async close() {
      server.close()
      server.closeIdleConnections()
      const closed = once(server, 'close')
      const timer = setTimeout(() => server.closeAllConnections(), 5_000)
      await closed
      clearTimeout(timer)
    },
  }
}

async function serveRequest(
  request: IncomingMessage,
  response: ServerResponse,
  edge: GatewayLimits,
  log: Log,
): Promise<void> {
  const started = performance.now()
  const { result, route } = await respond(request, edge).catch(error => internalError(error, request, log))
  const seconds = (performance.now() - started) / 1_000
  send(
    response,
    route === '/metrics' || isFromApi(result) ? result : logUnhandled(request, route, result, seconds, log),
  )
  count(edge, methodOf(request), route, result, seconds)
}

function internalError(error: unknown, { headers }: IncomingMessage, log: Log): RoutedResult {
  log.error({ error: messageOf(error) }, 'gateway failed')
  return { result: internalErrorResult(headers.accept), route: 'none' }
}

/** Whether the API answered: it has logged the request already. */
const isFromApi = ({ headers }: APIGatewayProxyResult) => headers?.[REQUEST_ID_HEADER] !== undefined

/** Gives requests that never reached the API a log line and an id too. */
function logUnhandled(
  request: IncomingMessage,
  route: string,
  result: APIGatewayProxyResult,
  seconds: number,
  log: Log,
): APIGatewayProxyResult {
  const requestId = newRequestId()
  const { statusCode: status, body } = result
  const fields = { requestId, method: methodOf(request), route, remote: request.socket.remoteAddress, status }
  log.info({ ...fields, ms: Math.round(seconds * 1_000), bytes: Buffer.byteLength(body) }, 'request')
  return { ...result, headers: { ...result.headers, [REQUEST_ID_HEADER]: requestId } }
}

/** Reads a request's body and answers the request; rejects bodies that are too large or not UTF-8. */
async function respond(request: IncomingMessage, edge: GatewayLimits): Promise<RoutedResult> {
  const format = negotiateFormat(request.headers.accept)
  const body = await readBody(request, edge.bodies, () => projectOfToken(request))
  if ('refused' in body) {
    const { headers, ...rest } = bodyRefusal(body.refused, pathOf(request), incomingOf(request, EMPTY), format)
    return { result: { ...rest, headers: { ...headers, Connection: 'close' } }, route: 'none' }
  }
  try {
    if (isUtf8(body.bytes)) return await respondInTurn(request, body, edge)
    return { result: refusal(new FilterFault(400, 'The body is not text in UTF-8.'), format), route: 'none' }
  } finally {
    body.release()
  }
}

const isProtected = (path: string) => path.startsWith('/v1.0')

/** The project of a valid token, where one is needed. */
async function projectOfToken(request: IncomingMessage): Promise<string | undefined> {
  const token = textOf(request.headers['x-auth-token'])
  if (!isProtected(pathOf(request)) || token === undefined) return undefined
  return (await getPlatform().identity.verify(token))?.project.id
}

const EMPTY = Buffer.alloc(0)

/** A result, and the route that produced it. */
interface RoutedResult {
  result: APIGatewayProxyResult
  route: string
}

/**
 * Answers a request when its turn comes. Projects take turns; a token that is new here counts for its remote address.
 */
async function respondInTurn(
  request: IncomingMessage,
  { bytes, release }: { bytes: Buffer; release(): void },
  edge: GatewayLimits,
): Promise<RoutedResult> {
  const { headers, socket } = request
  const path = pathOf(request)
  if (path === '/metrics' && isLocal(incomingOf(request, bytes))) return { result: await metrics(edge), route: path }
  if (path === '/healthz') return routeToFunction(incomingOf(request, bytes), edge)
  try {
    const key = edge.tokenProjects.projectOf(textOf(headers['x-auth-token'])) ?? `remote ${socket.remoteAddress}`
    // The event is built only when the turn comes, to save memory while the request waits.
    const response = edge.fairQueue.run(
      key,
      () => {
        release()
        return routeToFunction(incomingOf(request, bytes), edge)
      },
      loginLane(methodOf(request), path, bytes),
    )
    void pauseReading(socket, edge.fairQueue.room(key))
    return await response
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return { result: refusal(error, negotiateFormat(headers.accept)), route: 'none' }
  }
}

/**
 * Stops reading a connection until there is room: what the client sends meanwhile stays in its socket, not in our
 * memory.
 */
async function pauseReading(socket: Socket, room: Promise<void> | undefined): Promise<void> {
  if (!room || socket.isPaused()) return
  socket.pause()
  await room
  socket.resume()
}

async function metrics(edge: GatewayLimits): Promise<APIGatewayProxyResult> {
  const headers = { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' }
  return { statusCode: 200, headers, body: await edge.metrics() }
}

function count(
  { registry }: GatewayLimits,
  method: string,
  route: string,
  result: APIGatewayProxyResult,
  seconds: number,
): void {
  const { statusCode: status, headers } = result
  registry.count('coffer_requests_total', { method, route, status })
  registry.observe('coffer_request_seconds', { method, route }, seconds)
  if (headers?.['Retry-After'] !== undefined && (status === 413 || status === 429)) {
    registry.count('coffer_requests_throttled_total', { status })
  }
}

/** Calls the function of a path. All below `/v1.0/` is behind the authorizer and the usage plans. Throws Fault 429. */
async function routeToFunction(incoming: Incoming, edge: GatewayLimits): Promise<RoutedResult> {
  const { path } = incoming
  const context = contextOf('api', TIMEOUT_MS)
  if (path === '/identity' || path.startsWith('/identity/')) {
    return { result: await identity(proxyEvent(incoming, undefined), context), route: '/identity' }
  }
  if (path === '/enrol') return { result: await enrol(proxyEvent(incoming, undefined), context), route: '/enrol' }
  const caller = isProtected(path) ? await authorize(incoming, context, edge) : undefined
  if (isProtected(path) && !caller) return { result: unauthorized(incoming), route: 'none' }
  const event = apiEvent(proxyEvent(incoming, caller))
  const result = await api(event, context)
  return { result, route: event.state?.match?.route.path ?? 'none' }
}

/** The pipeline's first middleware adds the `state` that the type promises. */
const apiEvent = (event: APIGatewayProxyEvent) => event as ApiEvent<Platform>

/**
 * The authorizer's context for the caller; undefined = 401. Throws Fault 429 when the caller's usage plan is
 * exhausted.
 */
async function authorize(
  incoming: Incoming,
  context: Context,
  { tokenProjects, plans }: GatewayLimits,
): Promise<Record<string, unknown> | undefined> {
  try {
    const { context: caller, principalId, usageIdentifierKey } = await authorizer(authorizerEvent(incoming), context)
    tokenProjects.remember(incoming.headers['x-auth-token'] ?? '', String(caller?.['project_id']))
    plans.take(usageIdentifierKey ?? '')
    return { ...caller, principalId }
  } catch (error) {
    if (error instanceof Error && error.message === 'Unauthorized') return undefined
    throw error
  }
}

const methodOf = ({ method }: IncomingMessage) => method ?? 'GET'

function incomingOf(request: IncomingMessage, bytes: Buffer): Incoming {
  const [path, search] = splitUrl(request.url ?? '/')
  return {
    method: methodOf(request),
    path,
    search,
    headers: headersOf(request),
    body: bytes.toString('utf8'),
    remote: request.socket.remoteAddress ?? '',
  }
}

const pathOf = ({ url = '/' }: IncomingMessage) => splitUrl(url)[0]

/** Splits a URL into its path and query. */
function splitUrl(url: string): [string, string] {
  const index = url.indexOf('?')
  return index < 0 ? [url, ''] : [url.slice(0, index), url.slice(index + 1)]
}

function headersOf(request: IncomingMessage): Record<string, string> {
  const entries = Object.entries(request.headers).map(([name, value]) => [name, textOf(value) ?? ''])
  return { 'x-forwarded-proto': 'http', ...Object.fromEntries(entries) }
}

const textOf = (value: string | string[] | undefined) => (Array.isArray(value) ? value.join(', ') : value)

function send(response: ServerResponse, { statusCode, headers, body }: APIGatewayProxyResult): void {
  if (response.headersSent) return
  response.writeHead(statusCode, {
    'Content-Type': 'application/json',
    ...headers,
    'Content-Length': Buffer.byteLength(body),
  })
  response.end(body)
}
