import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { APIGatewayProxyResult } from 'aws-lambda'
import { renderFault } from '../../lib/keystone/http.ts'
import type { Log } from '../../lib/kit/clock.ts'
import { Fault, FilterFault, overLimit } from '../../lib/kit/errors.ts'
import { type BodyFormat, negotiateFormat, serialize } from '../../lib/kit/http/body-format.ts'
import { REQUEST_ID_HEADER } from '../../lib/kit/http/pipeline.ts'
import { faultBody } from '../../lib/trove/faults.ts'
import type { Incoming } from './events.ts'

/** Responses that API Gateway gives by itself, with Trove's and Keystone's bodies. */
const UNAUTHORIZED = {
  error: { code: 401, title: 'Unauthorized', message: 'The request you have made requires authentication.' },
}
const INTERNAL_ERROR = { instanceFault: { code: 500, message: 'An unexpected error happened.' } }

export const newRequestId = () => `req-${randomUUID()}`

/** The answer to a request without a valid token, as API Gateway gives it. */
export function unauthorized({ headers }: Incoming): APIGatewayProxyResult {
  const scheme = headers['x-forwarded-proto'] === 'https' ? 'https' : 'http'
  const base = `${scheme}://${headers['host'] ?? 'localhost'}`
  const { headers: contentType, ...rest } = result(401, UNAUTHORIZED, negotiateFormat(headers['accept']))
  return { ...rest, headers: { ...contentType, 'WWW-Authenticate': `Keystone uri="${base}/identity/v3"` } }
}

/** The answer to a request that the gateway refuses. */
export function refusal(fault: Fault, format: BodyFormat): APIGatewayProxyResult {
  const { headers, ...rest } = result(fault.status, faultBody(fault), format)
  return { ...rest, headers: { ...headers, ...fault.headers } }
}

/** The answer to a body that was not read: it is too large, or its sender is unknown, or too much is being read. */
export function bodyRefusal(
  reason: 'large' | 'unknown' | 'busy',
  path: string,
  incoming: Incoming,
  format: BodyFormat,
): APIGatewayProxyResult {
  if (reason === 'large') return refusal(overLimit('The request body is larger than 1 MiB.'), format)
  if (reason === 'busy') return refusal(new Fault(503, 'Too many requests are being read.'), format)
  if (path.startsWith('/v1.0')) return unauthorized(incoming)
  if (path !== '/identity' && !path.startsWith('/identity/')) {
    return refusal(overLimit('The request body is larger than 64 KiB.'), format)
  }
  const { status: statusCode, headers, body } = renderFault(overLimit('The request is too large.'), '')
  return { statusCode, headers, body }
}

export const internalErrorResult = (accept: string | undefined) => result(500, INTERNAL_ERROR, negotiateFormat(accept))

function result(statusCode: number, value: Record<string, unknown>, format: BodyFormat): APIGatewayProxyResult {
  const { type, body } = serialize(value, format, statusCode)
  return { statusCode, headers: { 'Content-Type': type }, body }
}

/** Answers what cannot be parsed as a request, with a body like those of Trove's filters. */
export function rejectUnreadable(error: NodeJS.ErrnoException, socket: Duplex, log: Log): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const fault = parseFault(error.code)
  const requestId = newRequestId()
  log.info({ requestId, status: fault.status, reason: fault.message }, 'request')
  const body = JSON.stringify(faultBody(fault))
  const head = [
    `HTTP/1.1 ${fault.status} ${STATUS_CODES[fault.status]}`,
    'Content-Type: application/json',
    `${REQUEST_ID_HEADER}: ${requestId}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function parseFault(code: string | undefined): FilterFault {
  if (code === 'HPE_HEADER_OVERFLOW') return new FilterFault(431, 'The headers are larger than 16 KiB.')
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new FilterFault(408, 'The request did not come in time.')
  return new FilterFault(400, 'The request is malformed.')
}
