import type { z } from 'zod'
import type { Log } from '../clock.ts'
import type { Transaction } from '../transaction.ts'
import type { BodyFormat } from './body-format.ts'

/** Who may use a route: everybody, members of the project in the path, or admins. */
export type Audience = 'anyone' | 'member' | 'admin'

/** A parsed and authorized request: the input of a route's handler. `B` is its body, `D` its dependencies. */
export interface Call<B = unknown, D = unknown> {
  deps: D
  method: string
  /** The variables of the path, decoded. */
  params: Record<string, string>
  query: Record<string, string>
  body: B
  project: string
  user: string
  admin: boolean
  requestId: string
  /** Scheme, host and stage of the links in responses, without a trailing slash. */
  baseUrl: string
  log: Log
}

/** A response. Without a body it is empty. */
export interface Reply {
  status: number
  body?: unknown
  /** In place of `body`: a text sent as it is. Its Content-Type must be among the headers. */
  text?: string
  headers?: Record<string, string>
}

/**
 * What the handler of a POST, PUT, PATCH or DELETE returns: the changes to commit with the request's own records, the
 * messages to send after that, and the reply. The handler itself writes and sends nothing. It is called again, and has to
 * read afresh, when a record has changed meanwhile.
 */
export interface Mutation extends Partial<Transaction> {
  /** The reply; with `afterCommit`, the one that a dry run gets. */
  reply: Reply
  /** Waits for what the changes started, and returns the reply. Throws a Fault if that failed. */
  afterCommit?(): Promise<Reply>
}

/** One route of the API. `path` begins after `/v1.0/{project_id}`, unless the audience is anyone. */
export interface Route<D> {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  path: string
  audience: Audience
  summary: string
  body?: z.ZodType
  /** The body may be missing. */
  optionalBody?: boolean
  /** Also matches with `.json` or `.xml` at its end, as Trove's extension and datastore routes do. */
  suffix?: boolean
  /** The response on success. It is documented, and checked by the tests, not for each request. */
  response: RouteResponse
  /** The query parameters. */
  query?: z.ZodObject
  /** The schema for the documentation, where the handler parses more of the body than `body` does. */
  documentedBody?: z.ZodType
  /** A valid body, for the documentation. */
  example?: unknown
  handle(call: Call<never, D>): Promise<Reply | Mutation>
}

type Method = Route<never>['method']
/** Reads reply; everything else returns what it changes. */
type Handle<M extends Method, B, D> = (call: Call<B, D>) => Promise<M extends 'GET' ? Reply : Mutation>

/**
 * A successful response: its status and the schema of its body. `type` is the media type if that is neither JSON nor
 * XML.
 */
export interface RouteResponse {
  status: number
  body?: z.ZodType
  type?: string
}

/** 200 with a body. */
export const ok = (body: z.ZodType): RouteResponse => ({ status: 200, body })
/** 202 without a body. */
export const ACCEPTED: RouteResponse = { status: 202 }
/** 204. */
export const NO_CONTENT: RouteResponse = { status: 204 }

type RouteSpec<D, M extends Method> = Pick<Route<D>, 'path' | 'summary' | 'response'> & { method: M } & Partial<
    Pick<Route<D>, 'audience' | 'optionalBody' | 'suffix' | 'query' | 'documentedBody' | 'example'>
  >

/**
 * Declares a route without a request body. Its audience is `member` unless given.
 *
 * @example
 * const showThing = route<Deps>(
 *   { method: 'GET', path: '/things/{id}', summary: 'Show a thing', response: ok(Thing) },
 *   async call => ({ status: 200, body: await findThing(call.project, call.params['id']) }),
 * )
 */
export function route<D, M extends Method = Method>(spec: RouteSpec<D, M>, handle: Handle<M, unknown, D>): Route<D> {
  return { audience: 'member', ...spec, handle }
}

/**
 * Declares a route with a request body, which the handler gets parsed by the schema.
 *
 * @example
 * const createThing = routeWithBody(
 *   { method: 'POST', path: '/things', summary: 'Create a thing', body: NewThing, response: ACCEPTED },
 *   async (call: Call<NewThing, Deps>) => {
 *     return { reply: { status: 202 }, changes: [things.create(call.project, call.body.name, {})] }
 *   },
 * )
 */
export function routeWithBody<D, S extends z.ZodType>(
  spec: RouteSpec<D, Exclude<Method, 'GET'>> & { body: S },
  handle: (call: Call<z.output<S>, D>) => Promise<Mutation>,
): Route<D> {
  return { audience: 'member', ...spec, handle }
}

/** The part of a route that is matched. */
export type RoutePattern = Pick<Route<never>, 'method' | 'path' | 'audience' | 'suffix'>

/** A matched route with the variables of the path. */
export interface RouteMatch<R extends RoutePattern> {
  route: R
  params: Record<string, string>
  /** The response format that the path requests by its suffix. */
  suffix?: BodyFormat
}

/** A matched route of the API. */
export type Match<D> = RouteMatch<Route<D>>

/** The path of a route from the root. */
export const fullPath = ({ audience, path }: Pick<Route<never>, 'audience' | 'path'>) =>
  audience === 'anyone' ? path : `/v1.0/{project_id}${path}`

/**
 * A function that finds the route for a method and a percent-encoded path; undefined if there is none. Fixed segments
 * win over variables. A trailing slash is ignored.
 *
 * @example
 * const match = router([showThing])
 * match('GET', '/v1.0/demo/things/7')?.params // { project_id: 'demo', id: '7' }
 */
export function router<R extends RoutePattern>(
  routes: R[],
): (method: string, path: string) => RouteMatch<R> | undefined {
  const byShape = new Map<string, { route: R; segments: string[] }[]>()
  for (const entry of routes) {
    const segments = segmentsOf(fullPath(entry))
    const shape = `${entry.method} ${segments.length}`
    byShape.set(shape, [...(byShape.get(shape) ?? []), { route: entry, segments }].sort(fixedFirst))
  }
  return (method, path) => {
    const parts = segmentsOf(path)
    for (const { route: candidate, segments } of byShape.get(`${method} ${parts.length}`) ?? []) {
      const { suffix, stem } = splitSuffix(candidate, parts)
      const params = matchSegments(segments, stem)
      if (params) return { route: candidate, params, ...(suffix && { suffix }) }
    }
    return undefined
  }
}

const segmentsOf = (path: string) => path.replace(/\/$/, '').split('/')

/**
 * The suffix of the path, if the route accepts one, and the path without it. Every route accepts `.xml`, except those
 * that end in the name of a user or a database, which may contain dots. Ids contain none.
 */
function splitSuffix({ suffix, path }: Pick<Route<never>, 'suffix' | 'path'>, parts: string[]) {
  const [, stem, extension] = /^(.+)\.(json|xml)$/.exec(parts.at(-1) ?? '') ?? []
  const accepted = suffix || (extension === 'xml' && !/\{(?!id\})\w+\}$/.test(path))
  if (stem === undefined || !accepted) return { stem: parts }
  return { stem: parts.with(-1, stem), suffix: extension === 'xml' ? ('xml' as const) : ('json' as const) }
}

const fixedFirst = (a: { segments: string[] }, b: { segments: string[] }) =>
  variableCount(a.segments) - variableCount(b.segments)
const variableCount = (segments: string[]) => segments.filter(segment => segment.startsWith('{')).length

function matchSegments(segments: string[], parts: string[]): Record<string, string> | undefined {
  const params: Record<string, string> = {}
  for (const [index, segment] of segments.entries()) {
    const part = parts[index] ?? ''
    if (!segment.startsWith('{')) {
      if (segment !== part) return undefined
    } else {
      const value = decodeSegment(part)
      if (value === undefined || value === '') return undefined
      params[segment.slice(1, -1)] = value
    }
  }
  return params
}

/** The segment without percent-encoding; undefined if it is malformed. */
export function decodeSegment(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}
