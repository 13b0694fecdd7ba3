import { type Fault, FilterFault, RateLimited } from '../kit/errors.ts'

/** Trove's names for faults, by status code. */
export const FAULT_NAMES: Record<number, string> = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'itemNotFound',
  406: 'notAcceptable',
  409: 'conflict',
  413: 'overLimit',
  415: 'unsupportedMediaType',
  422: 'unprocessableEntity',
  429: 'overLimit',
  500: 'instanceFault',
  501: 'notImplemented',
  503: 'serviceUnavailable',
  504: 'gatewayTimeout',
  507: 'insufficientStorage',
}

/** The titles in the responses of Trove's filters. */
export const FILTER_TITLES: Record<number, string> = {
  400: 'Bad Request',
  403: 'Forbidden',
  408: 'Request Timeout',
  413: 'Request Entity Too Large',
  415: 'Unsupported Media Type',
  431: 'Request Header Fields Too Large',
}

/**
 * The body of an error response, as Trove writes it. Trove's filters, which run before its controllers, have a form of
 * their own.
 *
 * @example
 * faultBody(notFound('No such backup.')) // {"itemNotFound": {"code": 404, "message": "No such backup."}}
 */
export function faultBody(fault: Fault): Record<string, unknown> {
  const { status: code, message } = fault
  if (fault instanceof RateLimited) {
    return { overLimit: { code, message, details: fault.details, retryAfter: fault.headers['Retry-After'] } }
  }
  if (!(fault instanceof FilterFault)) return { [FAULT_NAMES[code] ?? 'serverError']: { code, message } }
  const title = FILTER_TITLES[code] ?? 'Error'
  return { message: `${title}<br /><br />\n${message}\n\n`, code: `${code} ${title}`, title }
}
