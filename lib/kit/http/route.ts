import type { z } from 'zod'
import type { Log } from '../clock.ts'
import type { Form } from './form.ts'

/** Who may use a route: nobody in particular, members of the path's project, or admins. */
export type Audience = 'anyone' | 'member' | 'admin'

/** A request, as a route's handler gets it: parsed and checked. */
export interface Call<B = unknown, D = unknown> {
  deps: D
  method: string
  /** The path's variables, decoded. */
  params: Record<string, string>
  query: Record<string, string>
  body: B
  project: string
  user: string
  admin: boolean
  requestId: string
  /** Scheme, host and stage that links begin with, without a slash at the end. */
  base: string
  log: Log
}

/** An answer; no body means an empty one. */
export interface Reply {
  status: number
  body?: unknown
  /** In place of a body: as it is, with its own Content-Type among the headers. */
  text?: string
  headers?: Record<string, string>
}

/** One line of a noun's HTTP surface. `path` begins after `/v1.0/{project_id}` unless the audience is anyone. */
export interface Route<D> {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  path: string
  audience: Audience
  summary: string
  body?: z.ZodType
  /** The body may be left out. */
  optionalBody?: boolean
  /** Also found with `.json` or `.xml` at its end, as Trove's extension and datastore routes are. */
  suffix?: boolean
  /** What it answers when it does what it is asked. Told to readers and held to by the tests; not run for each request. */
  answers: Answers
  /** The parameters of the query that it knows. */
  query?: z.ZodObject
  /** What readers are told of the body where its schema leaves more to the handler. */
  shownBody?: z.ZodType
  /** A body that can be sent. */
  example?: unknown
  handle(call: Call<never, D>): Promise<Reply>
}

/** A success: its status, and the schema of its body, if it has one. `type` is the media type of what is neither JSON nor XML. */
export interface Answers {
  status: number
  body?: z.ZodType
  type?: string
}

/** The usual ones. */
export const ok = (body: z.ZodType): Answers => ({ status: 200, body })
export const ACCEPTED: Answers = { status: 202 }
export const NO_CONTENT: Answers = { status: 204 }

type Told<D> = Pick<Route<D>, 'method' | 'path' | 'summary' | 'answers'> &
  Partial<Pick<Route<D>, 'audience' | 'optionalBody' | 'suffix' | 'query' | 'shownBody' | 'example'>>

/** A route without a body. */
export function route<D>(told: Told<D>, handle: (call: Call<unknown, D>) => Promise<Reply>): Route<D> {
  return { audience: 'member', ...told, handle }
}

/** A route whose body has a schema; the handler gets it parsed. */
export function bodied<D, S extends z.ZodType>(
  told: Told<D> & { body: S },
  handle: (call: Call<z.output<S>, D>) => Promise<Reply>,
): Route<D> {
  return { audience: 'member', ...told, handle }
}

/** A matched route with its path's variables. */
export interface Match<D> {
  route: Route<D>
  params: Record<string, string>
  /** The form that the path asks for by its end. */
  suffix?: Form
}

/** A route's whole path. */
export const wholePath = ({ audience, path }: Pick<Route<never>, 'audience' | 'path'>) =>
  audience === 'anyone' ? path : `/v1.0/{project_id}${path}`

/**
 * Finds the route of a method and a whole path, percent-encoded; undefined if there is none. Fixed segments win over
 * variables; a slash at the end changes nothing.
 */
export function router<D>(routes: Route<D>[]): (method: string, path: string) => Match<D> | undefined {
  const byShape = new Map<string, { route: Route<D>; segments: string[] }[]>()
  for (const entry of routes) {
    const segments = segmentsOf(wholePath(entry))
    const shape = `${entry.method} ${segments.length}`
    byShape.set(shape, [...(byShape.get(shape) ?? []), { route: entry, segments }].sort(fixedFirst))
  }
  return (method, path) => {
    const parts = segmentsOf(path)
    for (const { route: found, segments } of byShape.get(`${method} ${parts.length}`) ?? []) {
      const { suffix, kept } = suffixed(found, parts)
      const params = variables(segments, kept)
      if (params) return { route: found, params, ...(suffix && { suffix }) }
    }
    return undefined
  }
}

const segmentsOf = (path: string) => path.replace(/\/$/, '').split('/')

/**
 * The suffix that the route takes, and the path without it. `.xml` belongs to every route but those that end in a name
 * (of a user, of a database), which may have dots; ids have none.
 */
function suffixed({ suffix, path }: Pick<Route<never>, 'suffix' | 'path'>, parts: string[]) {
  const [, kept, end] = /^(.+)\.(json|xml)$/.exec(parts.at(-1) ?? '') ?? []
  const taken = suffix || (end === 'xml' && !/\{(?!id\})\w+\}$/.test(path))
  if (kept === undefined || !taken) return { kept: parts }
  return { kept: parts.with(-1, kept), suffix: end === 'xml' ? ('xml' as const) : ('json' as const) }
}

const fixedFirst = (a: { segments: string[] }, b: { segments: string[] }) =>
  variableCount(a.segments) - variableCount(b.segments)
const variableCount = (segments: string[]) => segments.filter(segment => segment.startsWith('{')).length

function variables(segments: string[], parts: string[]): Record<string, string> | undefined {
  const params: Record<string, string> = {}
  for (const [index, segment] of segments.entries()) {
    const part = parts[index] ?? ''
    if (!segment.startsWith('{')) {
      if (segment !== part) return undefined
    } else {
      const value = decoded(part)
      if (value === undefined || value === '') return undefined
      params[segment.slice(1, -1)] = value
    }
  }
  return params
}

/** The segment without its percent signs; undefined if it is not well-formed. */
export function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}
