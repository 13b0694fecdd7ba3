/** Trove's names of faults by status code. */
export const NAMES: Record<number, string> = {
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
}

/** A wish that is answered with an error: its status code and what the user shall read. */
export class Fault extends Error {
  override name = 'Fault'
  readonly status: number
  /** What the answer has besides its body. */
  readonly headers: Record<string, string> = {}
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
  /** Trove's fault envelope: `{"itemNotFound":{"code":404,"message":"…"}}`. */
  body(): Record<string, unknown> {
    return { [NAMES[this.status] ?? 'serverError']: { code: this.status, message: this.message } }
  }
}

/** Titles of what Trove's filters answer. */
export const TITLES: Record<number, string> = {
  400: 'Bad Request',
  403: 'Forbidden',
  408: 'Request Timeout',
  413: 'Request Entity Too Large',
  415: 'Unsupported Media Type',
  431: 'Request Header Fields Too Large',
}

/** What Trove's filters answer before a controller is reached: the same codes in another shape. */
export class FilterFault extends Fault {
  override body(): Record<string, unknown> {
    const title = TITLES[this.status] ?? 'Error'
    return { message: `${title}<br /><br />\n${this.message}\n\n`, code: `${this.status} ${title}`, title }
  }
}

export const badRequest = (message: string) => new Fault(400, message)
export const forbidden = (message: string) => new Fault(403, message)
export const notFound = (message = 'The resource could not be found.') => new Fault(404, message)
export const conflict = (message: string) => new Fault(409, message)
export const overLimit = (message: string) => new Fault(413, message)
export const unprocessable = (message: string) => new Fault(422, message)
export const notImplemented = (message: string) => new Fault(501, message)

/** What a client sent, short enough to be told back. */
export const cut = (text: string, length = 80) => (text.length > length ? `${text.slice(0, length)}…` : text)

/** A failure that no repetition will mend: a saga that meets one turns round. */
export class Permanent extends Error {
  override name = 'Permanent'
}

/** What a saga works on is no more: it turns round, and nothing is left to be undone. */
export class Gone extends Permanent {
  override name = 'Gone'
}

/** The message of whatever was thrown, errors of another realm (a test runner's, a worker's) included. */
export function reason(error: unknown): string {
  const message = typeof error === 'object' && error !== null && 'message' in error ? error.message : error
  return String(message)
}

/** The system's code of an error (`ENOENT`), if it has one. */
export function codeOf(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}

/** Too many requests: 413 by Trove's own limit, 429 by a usage plan; the client may come again after `waitMs`. */
export class RateLimited extends Fault {
  readonly #details: string
  override readonly headers: Record<string, string>
  constructor(status: 413 | 429, details: string, waitMs: number) {
    super(status, 'This request was rate-limited.')
    this.#details = details
    this.headers = { 'Retry-After': String(Math.ceil(waitMs / 1_000)) }
  }
  override body(): Record<string, unknown> {
    const { status: code, message } = this
    return { overLimit: { code, message, details: this.#details, retryAfter: this.headers['Retry-After'] } }
  }
}
