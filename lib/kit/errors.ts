import { StoreFull } from '../ports/store.ts'

/** An API error: its status code, and the message for the user. */
export class Fault extends Error {
  override name = 'Fault'
  readonly status: number
  /** Headers of the answer, besides its body. */
  readonly headers: Record<string, string> = {}
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** An error of a filter: the request did not get as far as a handler. Its answer may have a form of its own. */
export class FilterFault extends Fault {}

/** Too many requests: 413 by the limit of a project, 429 by a usage plan. The client may come again after `waitMs`. */
export class RateLimited extends Fault {
  readonly details: string
  override readonly headers: Record<string, string>
  constructor(status: 413 | 429, details: string, waitMs: number) {
    super(status, 'This request was rate-limited.')
    this.details = details
    this.headers = { 'Retry-After': String(Math.ceil(waitMs / 1_000)) }
  }
}

export const badRequest = (message: string) => new Fault(400, message)
export const forbidden = (message: string) => new Fault(403, message)
export const notFound = (message = 'The resource could not be found.') => new Fault(404, message)
export const conflict = (message: string) => new Fault(409, message)
export const overLimit = (message: string) => new Fault(413, message)
export const unprocessable = (message: string) => new Fault(422, message)
/** What a full disk is answered with. */
export const STORE_FULL =
  'The disk of this service is full. Until there is space, deletes and logins are the only changes.'
export const storeFull = () => new Fault(507, STORE_FULL)
export const notImplemented = (message: string) => new Fault(501, message)

/** The fault that is answered to what was thrown, if it is the caller's to know. */
export function faultOf(error: unknown): Fault | undefined {
  if (error instanceof StoreFull) return storeFull()
  return error instanceof Fault ? error : undefined
}

/** Whether the system found no space on a disk. */
export const isFullDisk = (error: unknown): boolean => codeOf(error) === 'ENOSPC'

/** For a write that may be missed when the disk is full. Throws any other error. */
export function ignoreFullDisk(error: unknown): void {
  if (!isFullDisk(error)) throw error
}

/** A text that a client sent, cut to a length that can be repeated in an answer. */
export const truncate = (text: string, length = 80) => (text.length > length ? `${text.slice(0, length)}…` : text)

/** A failure that no retry will repair: a saga that meets one starts its undo. */
export class TerminalError extends Error {
  override name = 'TerminalError'
}

/** What a saga works on no longer exists: the saga starts its undo, and there is nothing left to undo. */
export class SubjectGone extends TerminalError {
  override name = 'SubjectGone'
}

/** The message of whatever was thrown, also by another realm (a test runner's, a worker's). */
export function messageOf(error: unknown): string {
  const message = typeof error === 'object' && error !== null && 'message' in error ? error.message : error
  return String(message)
}

/** The system's code of an error (`ENOENT`), if it has one. */
export function codeOf(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}
