import type { z } from 'zod'
import { Fault, FilterFault } from '../errors.ts'

export const MAX_BODY_BYTES = 1024 * 1024
const MAX_DEPTH = 32

/** The JSON value of a request body. Throws Fault 400 (malformed, too deep), 413 (over 1 MiB). */
export function parseJson(text: string): unknown {
  if (Buffer.byteLength(text) > MAX_BODY_BYTES) throw new FilterFault(413, 'The request body is larger than 1 MiB.')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new FilterFault(400, 'The server could not comply with the request since it is malformed: the body is not JSON.')
  }
  if (tooDeep(value, MAX_DEPTH)) throw new FilterFault(400, `The body is nested deeper than ${MAX_DEPTH} levels.`)
  return value
}

function tooDeep(value: unknown, left: number): boolean {
  if (value === null || typeof value !== 'object') return false
  return left === 0 || Object.values(value).some(item => tooDeep(item, left - 1))
}

/** The value, if it fits the schema. Throws Fault 400 with every complaint, in Trove's words. */
export function validated<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const complaints = parsed.error.issues.flatMap(issue => complaintsOf(issue))
  throw new Fault(400, `Validation error: ${[...new Set(complaints)].join('; ')}`)
}

function complaintsOf(issue: z.core.$ZodIssue): string[] {
  return [`${pathOf(issue.path)} ${issue.message}`.trim()]
}

/** `instance['volume']['size']`. */
function pathOf(path: PropertyKey[]): string {
  return path.map((part, index) => (index === 0 ? String(part) : `[${typeof part === 'number' ? part : `'${String(part)}'`}]`)).join('')
}
