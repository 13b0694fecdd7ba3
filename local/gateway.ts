import { isUtf8 } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { APIGatewayProxyEvent, APIGatewayProxyResult, Context } from 'aws-lambda'
import { handler as api } from '../functions/api.ts'
import { handler as authorizer } from '../functions/authorizer.ts'
import { handler as enrol } from '../functions/enrol.ts'
import { handler as identity } from '../functions/identity.ts'
import type { Log } from '../lib/kit/clock.ts'
import { Fault, FilterFault, overLimit, reason } from '../lib/kit/errors.ts'
import { acceptedForm, type Form, written } from '../lib/kit/http/form.ts'
import { type ApiEvent, REQUEST_ID_HEADER } from '../lib/kit/http/pipeline.ts'
import type { Platform } from '../lib/platform/platform.ts'
import { type Edge, isLocal } from './edge.ts'
import { authorizerEvent, contextOf, type Incoming, proxyEvent } from './events.ts'

const MAX_BODY = 1024 * 1024
/** What of a larger body is read and dropped, so that its sender comes to read the answer. */
const MAX_DROPPED = 16 * MAX_BODY
/** Bounds on slow or silent clients, in milliseconds. */
const HEADERS_MS = 10_000
const REQUEST_MS = 30_000
const TIMEOUT_MS = 29_000
const KEEP_ALIVE_MS = 65_000

/** What API Gateway answers by itself, with Trove's and Keystone's bodies. */
const UNAUTHORIZED = {
  error: { code: 401, title: 'Unauthorized', message: 'The request you have made requires authentication.' },
}
const FAILED = { instanceFault: { code: 500, message: 'An unexpected error happened.' } }

/** The gateway of the local cloud: turns requests into the events of API Gateway, and answers into responses. */
export interface Gateway {
  server: Server
  /** Takes no new requests, lets the running ones end. */
  close(): Promise<void>
}

export async function gateway(options: { host: string; port: number; log: Log; edge: Edge }): Promise<Gateway> {
  const { host, port, log, edge } = options
  const server = createServer(
    { headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS, maxHeaderSize: 16_384 },
    (request, response) => {
      serveRequest(request, response, edge, log).catch(error => {
        log.error({ error: reason(error) }, 'answer not sent')
        response.destroy()
      })
    },
  )
  // Longer than clients and proxies keep one: whoever asks on it as it closes would see a failure.
  server.keepAliveTimeout = KEEP_ALIVE_MS
  server.on('clientError', (error, socket) => refuseUnreadable(error, socket, log))
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

async function serveRequest(request: IncomingMessage, response: ServerResponse, edge: Edge, log: Log): Promise<void> {
  const started = performance.now()
  const { result, route } = await answered(request, edge).catch(error => failed(error, request, log))
  const seconds = (performance.now() - started) / 1_000
  send(response, route === '/metrics' || isTold(result) ? result : told(request, route, result, seconds, log))
  count(edge, methodOf(request), route, result, seconds)
}

function failed(error: unknown, { headers }: IncomingMessage, log: Log): Answered {
  log.error({ error: reason(error) }, 'gateway failed')
  return { result: result(500, FAILED, acceptedForm(headers.accept)), route: 'none' }
}

const newRequestId = () => `req-${randomUUID()}`
/** Whether the API has answered: it has logged that. */
const isTold = ({ headers }: APIGatewayProxyResult) => headers?.[REQUEST_ID_HEADER] !== undefined

/** What did not get as far as the API has a line of the log and an id too. */
function told(
  request: IncomingMessage,
  route: string,
  result: APIGatewayProxyResult,
  seconds: number,
  log: Log,
): APIGatewayProxyResult {
  const requestId = newRequestId()
  const { statusCode: status, body } = result
  const known = { requestId, method: methodOf(request), route, remote: request.socket.remoteAddress, status }
  log.info({ ...known, ms: Math.round(seconds * 1_000), bytes: Buffer.byteLength(body) }, 'request')
  return { ...result, headers: { ...result.headers, [REQUEST_ID_HEADER]: requestId } }
}

/** The answer to what could be read of a request. */
async function answered(request: IncomingMessage, edge: Edge): Promise<Answered> {
  const form = acceptedForm(request.headers.accept)
  const bytes = await bodyOf(request)
  if (bytes === undefined) {
    const { headers, ...large } = refusal(overLimit('The request body is larger than 1 MiB.'), form)
    return { result: { ...large, headers: { ...headers, Connection: 'close' } }, route: 'none' }
  }
  if (isUtf8(bytes)) return admitted(request, bytes, edge)
  return { result: refusal(new FilterFault(400, 'The body is not text in UTF-8.'), form), route: 'none' }
}

/** An answer, and which route gave it. */
interface Answered {
  result: APIGatewayProxyResult
  route: string
}

/** The answer, once it is the request's turn: projects take turns, and who is not known yet does by where it comes from. */
async function admitted(request: IncomingMessage, bytes: Buffer, edge: Edge): Promise<Answered> {
  const { headers, socket } = request
  const [path] = split(request.url ?? '/')
  if (path === '/metrics' && isLocal(incomingOf(request, bytes))) return { result: await metrics(edge), route: path }
  if (path === '/healthz') return answer(incomingOf(request, bytes), edge)
  try {
    const owner = edge.owners.of(textOf(headers['x-auth-token'])) ?? `remote ${socket.remoteAddress}`
    // Of what waits nothing is made before its turn.
    const answered = edge.admission.run(owner, () => answer(incomingOf(request, bytes), edge))
    void holdBack(socket, edge.admission.room(owner))
    return await answered
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return { result: refusal(error, acceptedForm(headers.accept)), route: 'none' }
  }
}

/** Reads no more from a connection until there is room: what its client sends on waits with the client, not in our memory. */
async function holdBack(socket: Socket, room: Promise<void> | undefined): Promise<void> {
  if (!room || socket.isPaused()) return
  socket.pause()
  await room
  socket.resume()
}

async function metrics(edge: Edge): Promise<APIGatewayProxyResult> {
  const headers = { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' }
  return { statusCode: 200, headers, body: await edge.metrics() }
}

function count(
  { registry }: Edge,
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

/** Which function answers a path; all below `/v1.0/` are behind the authorizer and the usage plans. Throws Fault 429. */
async function answer(incoming: Incoming, edge: Edge): Promise<Answered> {
  const { path } = incoming
  const context = contextOf('api', TIMEOUT_MS)
  if (path === '/identity' || path.startsWith('/identity/')) {
    return { result: await identity(proxyEvent(incoming, undefined), context), route: '/identity' }
  }
  if (path === '/enrol') return { result: await enrol(proxyEvent(incoming, undefined), context), route: '/enrol' }
  const behind = path.startsWith('/v1.0')
  const told = behind ? await authorized(incoming, context, edge) : undefined
  if (behind && !told) return { result: unauthorized(incoming), route: 'none' }
  const event = apiEvent(proxyEvent(incoming, told))
  const result = await api(event, context)
  return { result, route: event.trip?.match?.route.path ?? 'none' }
}

/** The pipeline's first middleware adds the trip. */
const apiEvent = (event: APIGatewayProxyEvent) => event as ApiEvent<Platform>

/** What the authorizer tells of the caller; undefined = 401. Throws Fault 429 over the usage plan of its key. */
async function authorized(
  incoming: Incoming,
  context: Context,
  { owners, plans }: Edge,
): Promise<Record<string, unknown> | undefined> {
  try {
    const { context: told, principalId, usageIdentifierKey } = await authorizer(authorizerEvent(incoming), context)
    owners.learn(incoming.headers['x-auth-token'] ?? '', String(told?.['project_id']))
    plans.take(usageIdentifierKey ?? '')
    return { ...told, principalId }
  } catch (error) {
    if (error instanceof Error && error.message === 'Unauthorized') return undefined
    throw error
  }
}

function unauthorized({ headers }: Incoming): APIGatewayProxyResult {
  const scheme = headers['x-forwarded-proto'] === 'https' ? 'https' : 'http'
  const base = `${scheme}://${headers['host'] ?? 'localhost'}`
  const { headers: type, ...answer } = result(401, UNAUTHORIZED, acceptedForm(headers['accept']))
  return { ...answer, headers: { ...type, 'WWW-Authenticate': `Keystone uri="${base}/identity/v3"` } }
}

const NOTHING = Buffer.alloc(0)

/** The body; undefined once it is over 1 MiB. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  if (length === undefined && coding === undefined) return NOTHING
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > MAX_DROPPED) break
    if (size <= MAX_BODY) chunks.push(chunk)
  }
  return size > MAX_BODY ? undefined : Buffer.concat(chunks)
}

const refusal = (fault: Fault, form: Form): APIGatewayProxyResult => {
  const answer = result(fault.status, fault.body(), form)
  return { ...answer, headers: { ...answer.headers, ...fault.headers } }
}

function result(statusCode: number, told: Record<string, unknown>, form: Form): APIGatewayProxyResult {
  const { type, body } = written(told, form, statusCode)
  return { statusCode, headers: { 'Content-Type': type }, body }
}

/** What cannot even be read as a request gets an answer too, in the shape of Trove's filters. */
function refuseUnreadable(error: NodeJS.ErrnoException, socket: Duplex, log: Log): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const fault = unreadable(error.code)
  const requestId = newRequestId()
  log.info({ requestId, status: fault.status, reason: fault.message }, 'request')
  const body = JSON.stringify(fault.body())
  const head = [
    `HTTP/1.1 ${fault.status} ${STATUS_CODES[fault.status]}`,
    'Content-Type: application/json',
    `${REQUEST_ID_HEADER}: ${requestId}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function unreadable(code: string | undefined): FilterFault {
  if (code === 'HPE_HEADER_OVERFLOW') return new FilterFault(431, 'The headers are larger than 16 KiB.')
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new FilterFault(408, 'The request did not come in time.')
  return new FilterFault(400, 'The request is malformed.')
}

const methodOf = ({ method }: IncomingMessage) => method ?? 'GET'

function incomingOf(request: IncomingMessage, bytes: Buffer): Incoming {
  const [path, search] = split(request.url ?? '/')
  return {
    method: methodOf(request),
    path,
    search,
    headers: headersOf(request),
    body: bytes.toString('utf8'),
    remote: request.socket.remoteAddress ?? '',
  }
}

/** A path and its query. */
function split(url: string): [string, string] {
  const mark = url.indexOf('?')
  return mark < 0 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)]
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
