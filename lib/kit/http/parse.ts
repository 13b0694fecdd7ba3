import type { z } from 'zod'
import { cut, Fault, FilterFault, overLimit } from '../errors.ts'
import { fitted, parseXml } from '../xml/read.ts'
import type { Form } from './form.ts'

export const MAX_BODY_BYTES = 1024 * 1024
const MAX_DEPTH = 32
/** The most complaints of one answer: a long list of wrong things is as long otherwise. */
const MAX_COMPLAINTS = 20

/** The JSON value of a request body. Throws Fault 400 (malformed, too deep), 413 (over 1 MiB). */
export function parseJson(text: string): unknown {
  if (Buffer.byteLength(text) > MAX_BODY_BYTES) throw overLimit('The request body is larger than 1 MiB.')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new FilterFault(
      400,
      'The server could not comply with the request since it is malformed: the body is not JSON.',
    )
  }
  if (tooDeep(value, MAX_DEPTH)) throw new FilterFault(400, `The body is nested deeper than ${MAX_DEPTH} levels.`)
  return value
}

/** The value of a request body in either form; throws as `parseJson` does. Values of XML are strings until `validated`. */
export function parseBody(text: string, form: Form = 'json'): unknown {
  if (form === 'json') return parseJson(text)
  if (Buffer.byteLength(text) > MAX_BODY_BYTES) throw overLimit('The request body is larger than 1 MiB.')
  return parseXml(text)
}

function tooDeep(value: unknown, left: number): boolean {
  if (value === null || typeof value !== 'object') return false
  return left === 0 || Object.values(value).some(item => tooDeep(item, left - 1))
}

/** The most that a request which is kept may have, so that with its secrets encrypted it fits a record of any store. */
const MAX_STORED_BYTES = 150_000

/** Throws 413 for a request that is too large to be kept until it is carried out. */
export function assertStorable(value: unknown): void {
  if (Buffer.byteLength(JSON.stringify(value)) > MAX_STORED_BYTES) {
    throw overLimit(`The request is larger than ${MAX_STORED_BYTES} bytes.`)
  }
}

/** The value, if it fits the schema; what came as XML is read as the schema needs it. Throws Fault 400 with every complaint, in Trove's words. */
export function validated<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(fitted(schema, value))
  if (parsed.success) return parsed.data
  const complaints = new Set(parsed.error.issues.flatMap(issue => complaintsOf(issue)))
  throw new Fault(400, `Validation error: ${[...complaints].slice(0, MAX_COMPLAINTS).join('; ')}`)
}

/** What is wrong, in words; of a union, what is wrong with the form that the value comes nearest to. */
function complaintsOf(issue: z.core.$ZodIssue, above: PropertyKey[] = []): string[] {
  const path = [...above, ...issue.path]
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    return nearest(issue.errors).flatMap(inner => complaintsOf(inner, path))
  }
  return [`${pathOf(path)} ${issue.message.replace(/^Invalid input: /, '')}`.trim()]
}

/** The form that failed deepest inside the value. */
function nearest(forms: z.core.$ZodIssue[][]): z.core.$ZodIssue[] {
  const depth = (issues: z.core.$ZodIssue[]) => Math.max(...issues.map(({ path }) => path.length))
  return forms.reduce((best, form) => (depth(form) > depth(best) ? form : best))
}

/** `instance['volume']['size']`. */
function pathOf(path: PropertyKey[]): string {
  return path
    .map((part, index) =>
      index === 0 ? String(part) : `[${typeof part === 'number' ? part : `'${cut(String(part), 80)}'`}]`,
    )
    .join('')
}
