import { z } from 'zod'
import { REQUEST_ID_HEADER } from '../kit/http/pipeline.ts'
import { type Route, wholePath } from '../kit/http/route.ts'
import { Id } from '../kit/http/schemas.ts'
import { faultSchema, isAuthorized, REASONS, refusalsOf } from './faults.ts'
import { type Json, type Shapes, shapes } from './shape.ts'

const DESCRIPTION = `Trove's v1.0 API: databases on demand.

A token goes with each request below \`/v1.0\` (\`X-Auth-Token\`, from Keystone's \`POST /v3/auth/tokens\`); \`project_id\` is its
project. Every body can be XML in place of JSON: what is sent by \`Content-Type: application/xml\`, what is answered by
\`Accept: application/xml\` or a path that ends in \`.xml\`; elements and attributes have the names of the JSON's keys.
Keys that are not known are ignored in some bodies, as in Trove, and never answered.`

/** What the document says whatever the routes; `servers` is added by who serves it. */
const HEAD = {
  openapi: '3.1.0',
  info: {
    title: 'Coffer',
    version: '1.0',
    description: DESCRIPTION,
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
}

/** The OpenAPI 3.1 document of these routes, but for its `servers`. */
export function documentOf(routes: Route<never>[]): Json {
  const shape = shapes()
  const paths: Record<string, Json> = {}
  for (const route of routes) {
    const path = wholePath(route)
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route, shape) }
  }
  const tags = [...new Set(routes.map(tagOf))].sort().map(name => ({ name }))
  const responses = Object.fromEntries(Object.keys(REASONS).map(status => [status, refusal(Number(status), shape)]))
  return { ...HEAD, tags, paths, components: { ...COMMON, responses, schemas: sorted(shape.components) } }
}

const sorted = (object: Json) => Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)))

const COMMON = {
  securitySchemes: { token: { type: 'apiKey', in: 'header', name: 'X-Auth-Token' } },
  headers: {
    RequestId: { description: 'The id of the request, as logs have it.', schema: { type: 'string' } },
    RetryAfter: { description: 'Seconds to wait, where too many requests came.', schema: { type: 'string' } },
  },
  parameters: {
    DryRun: {
      name: 'dry_run',
      in: 'query',
      description: 'true: everything is checked and answered as usual, nothing is done.',
      schema: { type: 'string', enum: ['true', 'false'] },
    },
    IdempotencyKey: {
      name: 'Idempotency-Key',
      in: 'header',
      description: 'The same request again within a day gets the first answer, and nothing is done twice.',
      schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[ -~]+$' },
    },
  },
}

function operation(route: Route<never>, shape: Shapes): Json {
  const { summary, audience } = route
  return {
    operationId: operationIdOf(route),
    summary,
    tags: [tagOf(route)],
    ...(audience === 'admin' && { description: 'For administrators.' }),
    ...(isAuthorized(route) && { security: [{ token: [] }] }),
    parameters: parametersOf(route, shape),
    ...bodyOf(route, shape),
    responses: { ...success(route, shape), ...refusals(route) },
  }
}

const WORDS = /[^a-z0-9]+/g

/** Made of method and path, so that it changes only when they do. */
export function operationIdOf({ method, path }: Pick<Route<never>, 'method' | 'path'>): string {
  const words = path.toLowerCase().replaceAll(/\{(\w+)\}/g, 'by_$1')
  return `${method.toLowerCase()}_${words.replaceAll(WORDS, '_').replaceAll(/^_|_$/g, '') || 'root'}`
}

const BELOW_INSTANCES = ['databases', 'users', 'root', 'operations', 'ssl']

/** The noun that a route is about. */
function tagOf({ path, audience }: Pick<Route<never>, 'path' | 'audience'>): string {
  if (audience === 'anyone') return 'service'
  const [first = '', second = ''] = path.split('/').filter(part => part !== '' && !part.startsWith('{'))
  if (first === 'instances' && BELOW_INSTANCES.includes(second)) return second
  if (first === 'mgmt') return { 'datastore-versions': 'datastores', quotas: 'quotas' }[second] ?? 'management'
  return first
}

function parametersOf(route: Route<never>, shape: Shapes): Json[] {
  const names = [...wholePath(route).matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  const ofPath = names.map(name => ({ name, in: 'path', required: true, schema: pathSchema(route, name, shape) }))
  const { properties = {} } = route.query ? shape.of(route.query, 'input') : {}
  const ofQuery = Object.entries(properties as Record<string, Json>).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    ...(description !== undefined && { description }),
    schema,
  }))
  return [...ofPath, ...ofQuery, ...common(route)]
}

function common({ method }: Route<never>): Json[] {
  if (method === 'GET') return []
  const once = method === 'POST' || method === 'PATCH' ? ['IdempotencyKey'] : []
  return ['DryRun', ...once].map(name => ({ $ref: `#/components/parameters/${name}` }))
}

function pathSchema({ path }: Route<never>, name: string, shape: Shapes): Json {
  const isId = (name === 'id' && path.includes('/instances/')) || name === 'operation_id'
  return shape.of(isId ? Id : z.string().min(1), 'input')
}

function bodyOf(route: Route<never>, shape: Shapes): Json {
  const schema = route.shownBody ?? route.body
  if (!schema) return {}
  const { example } = route
  const json = { schema: shape.of(schema, 'input'), ...(example !== undefined && { example }) }
  return {
    requestBody: { required: !route.optionalBody, content: { 'application/json': json, 'application/xml': {} } },
  }
}

const HEADERS = { [REQUEST_ID_HEADER]: { $ref: '#/components/headers/RequestId' } }

function success({ answers: { status, body, type } }: Route<never>, shape: Shapes): Json {
  if (status >= 400) return {}
  const description = { 200: 'Done.', 202: 'Taken.', 204: 'Done; nothing to say.' }[status] ?? 'Done.'
  const schema = body && shape.of(body, 'output')
  const content = type === undefined ? both(schema) : { [type]: { schema } }
  return { [status]: { description, headers: HEADERS, ...(schema && { content }) } }
}

const both = (schema: Json | undefined) => ({ 'application/json': { schema }, 'application/xml': {} })

const refusals = (route: Route<never>): Json =>
  Object.fromEntries(refusalsOf(route).map(status => [status, { $ref: `#/components/responses/${status}` }]))

function refusal(status: number, shape: Shapes): Json {
  const wait = { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } }
  return {
    description: REASONS[status],
    headers: { ...HEADERS, ...((status === 413 || status === 429) && wait) },
    content: both(shape.of(faultSchema(status), 'output')),
  }
}
