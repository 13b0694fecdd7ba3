import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { APIGatewayProxyEvent, APIGatewayProxyResult, Context } from 'aws-lambda'
import { handler as api } from '../functions/api.ts'
import { handler as authorizer } from '../functions/authorizer.ts'
import { handler as enrol } from '../functions/enrol.ts'
import { handler as identity } from '../functions/identity.ts'
import type { Log } from '../lib/kit/clock.ts'
import type { ApiEvent } from '../lib/kit/http/pipeline.ts'
import type { Platform } from '../lib/platform/platform.ts'
import { authorizerEvent, contextOf, type Incoming, proxyEvent } from './events.ts'

const MAX_BODY = 1024 * 1024
/** Bounds on slow or silent clients, in milliseconds. */
const HEADERS_MS = 10_000
const REQUEST_MS = 30_000
const TIMEOUT_MS = 29_000

/** What API Gateway answers by itself, with Trove's and Keystone's bodies. */
const UNAUTHORIZED = {
  error: { code: 401, title: 'Unauthorized', message: 'The request you have made requires authentication.' },
}
const TOO_LARGE = { overLimit: { code: 413, message: 'The request body is larger than 1 MiB.' } }
const FAILED = { instanceFault: { code: 500, message: 'An unexpected error happened.' } }

/** The gateway of the local cloud: turns requests into the events of API Gateway, and answers into responses. */
export interface Gateway {
  server: Server
  /** Takes no new requests, lets the running ones end. */
  close(): Promise<void>
}

export async function gateway(options: { host: string; port: number; log: Log }): Promise<Gateway> {
  const { host, port, log } = options
  const server = createServer(
    { headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS, maxHeaderSize: 16_384 },
    (request, response) => {
      serveRequest(request, response).catch(error => {
        log.error({ error: String(error) }, 'gateway failed')
        send(response, { statusCode: 500, body: JSON.stringify(FAILED) })
      })
    },
  )
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

async function serveRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await bodyOf(request)
  if (body === undefined) {
    response.setHeader('Connection', 'close')
    return send(response, { statusCode: 413, body: JSON.stringify(TOO_LARGE) })
  }
  const [path = '/', search = ''] = split(request.url ?? '/')
  const incoming: Incoming = {
    method: request.method ?? 'GET',
    path,
    search,
    headers: headersOf(request),
    body,
    remote: request.socket.remoteAddress ?? '',
  }
  send(response, await answer(incoming))
}

/** Which function answers a path; all below `/v1.0/` are behind the authorizer. */
async function answer(incoming: Incoming): Promise<APIGatewayProxyResult> {
  const { path } = incoming
  const context = contextOf('api', TIMEOUT_MS)
  if (path === '/identity' || path.startsWith('/identity/')) return identity(proxyEvent(incoming, undefined), context)
  if (path === '/enrol') return enrol(proxyEvent(incoming, undefined), context)
  const behind = path.startsWith('/v1.0')
  const told = behind ? await authorized(incoming, context) : undefined
  if (behind && !told) return unauthorized(incoming)
  return api(apiEvent(proxyEvent(incoming, told)), context)
}

/** The pipeline's first middleware adds the trip. */
const apiEvent = (event: APIGatewayProxyEvent) => event as ApiEvent<Platform>

async function authorized(incoming: Incoming, context: Context): Promise<Record<string, unknown> | undefined> {
  try {
    const { context: told, principalId } = await authorizer(authorizerEvent(incoming), context)
    return { ...told, principalId }
  } catch (error) {
    if (error instanceof Error && error.message === 'Unauthorized') return undefined
    throw error
  }
}

function unauthorized({ headers }: Incoming): APIGatewayProxyResult {
  const base = `${headers['x-forwarded-proto'] ?? 'http'}://${headers['host'] ?? 'localhost'}`
  return {
    statusCode: 401,
    headers: { 'Content-Type': 'application/json', 'WWW-Authenticate': `Keystone uri="${base}/identity/v3"` },
    body: JSON.stringify(UNAUTHORIZED),
  }
}

/** The body's text; undefined once it is over 1 MiB. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > MAX_BODY) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function split(url: string): string[] {
  const mark = url.indexOf('?')
  return mark < 0 ? [url] : [url.slice(0, mark), url.slice(mark + 1)]
}

function headersOf(request: IncomingMessage): Record<string, string> {
  const entries = Object.entries(request.headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(', ') : (value ?? ''),
  ])
  return { 'x-forwarded-proto': 'http', ...Object.fromEntries(entries) }
}

function send(response: ServerResponse, { statusCode, headers, body }: APIGatewayProxyResult): void {
  if (response.headersSent) return
  response.writeHead(statusCode, {
    'Content-Type': 'application/json',
    ...headers,
    'Content-Length': Buffer.byteLength(body),
  })
  response.end(body)
}
