import type { z } from 'zod'
import { Fault, FilterFault, overLimit, truncate } from '../errors.ts'
import { coerce, parseXml } from '../xml/read.ts'
import type { BodyFormat } from './body-format.ts'

/** The largest accepted request body: 1 MiB. */
const MAX_BODY_BYTES = 1024 * 1024
const MAX_DEPTH = 32
/** The most validation errors in one response, however many items of a list are wrong. */
const MAX_MESSAGES = 20

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
  if (isDeeperThan(value, MAX_DEPTH)) throw new FilterFault(400, `The body is nested deeper than ${MAX_DEPTH} levels.`)
  return value
}

/**
 * The value of a request body; throws as `parseJson` does. Values from XML are strings until `parseAs` coerces them.
 */
export function parseBody(text: string, format: BodyFormat = 'json'): unknown {
  if (format === 'json') return parseJson(text)
  if (Buffer.byteLength(text) > MAX_BODY_BYTES) throw overLimit('The request body is larger than 1 MiB.')
  return parseXml(text)
}

function isDeeperThan(value: unknown, levels: number): boolean {
  if (value === null || typeof value !== 'object') return false
  return levels === 0 || Object.values(value).some(item => isDeeperThan(item, levels - 1))
}

/** The most bytes of a request that is stored: with its secrets encrypted it must fit a record of any store. */
const MAX_STORED_BYTES = 150_000

/** Throws Fault 413 for a request that is too large to be stored until it is executed. */
export function assertFitsRecord(value: unknown): void {
  if (Buffer.byteLength(JSON.stringify(value)) > MAX_STORED_BYTES) {
    throw overLimit(`The request is larger than ${MAX_STORED_BYTES} bytes.`)
  }
}

/**
 * The value parsed by the schema; values from XML are coerced to the types that the schema has. Throws Fault 400 with
 * up to 20 validation errors in Trove's words.
 *
 * @example
 * parseAs(z.object({ name: z.string() }), { name: 7 }) // Fault 400: Validation error: name expected string, …
 */
export function parseAs<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(coerce(schema, value))
  if (parsed.success) return parsed.data
  const messages = new Set(parsed.error.issues.flatMap(issue => issueMessages(issue)))
  throw new Fault(400, `Validation error: ${[...messages].slice(0, MAX_MESSAGES).join('; ')}`)
}

/** The messages of an issue, with its path. For a union, those of the branch that the value is closest to. */
function issueMessages(issue: z.core.$ZodIssue, parentPath: PropertyKey[] = []): string[] {
  const path = [...parentPath, ...issue.path]
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    return closestUnionBranch(issue.errors).flatMap(inner => issueMessages(inner, path))
  }
  return [`${formatPath(path)} ${issue.message.replace(/^Invalid input: /, '')}`.trim()]
}

/** The branch that failed deepest inside the value. */
function closestUnionBranch(branches: z.core.$ZodIssue[][]): z.core.$ZodIssue[] {
  const depth = (issues: z.core.$ZodIssue[]) => Math.max(...issues.map(({ path }) => path.length))
  return branches.reduce((closest, branch) => (depth(branch) > depth(closest) ? branch : closest))
}

/** `instance['volume']['size']`. */
function formatPath(path: PropertyKey[]): string {
  return path
    .map((part, index) =>
      index === 0 ? String(part) : `[${typeof part === 'number' ? part : `'${truncate(String(part), 80)}'`}]`,
    )
    .join('')
}

/**
 * The boolean that a query parameter spells: `True`, `1`, `yes`, `on`, `t`, `y`, or their opposites, in any case.
 * Undefined for any other text.
 */
export function parseBoolean(text: string | undefined): boolean | undefined {
  const word = text?.trim().toLowerCase() ?? ''
  if (['true', '1', 'yes', 'on', 't', 'y'].includes(word)) return true
  if (['false', '0', 'no', 'off', 'f', 'n'].includes(word)) return false
  return undefined
}
