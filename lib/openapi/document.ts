import { z } from 'zod'
import { REQUEST_ID_HEADER } from '../kit/http/pipeline.ts'
import { fullPath, type Route } from '../kit/http/route.ts'
import { Id } from '../kit/http/schemas.ts'
import { errorStatuses, faultSchema, isAuthorized, STATUS_DESCRIPTIONS } from './faults.ts'
import { type ComponentSchemas, componentSchemas, type Json } from './shape.ts'

const DESCRIPTION = `Trove's v1.0 API: databases on demand.

Each request below \`/v1.0\` needs a token (\`X-Auth-Token\`, from Keystone's \`POST /v3/auth/tokens\`);
\`project_id\` is the token's project. Every body can be XML instead of JSON: a request's with
\`Content-Type: application/xml\`, a response's with \`Accept: application/xml\` or a path that ends in \`.xml\`. Elements
and attributes have the names of the JSON keys. Some request bodies may have unknown keys, which are ignored, as in
Trove. Responses never have any.`

/** The part that does not depend on the routes. `servers` is added when the document is served. */
const HEAD = {
  openapi: '3.1.0',
  info: {
    title: 'Coffer',
    version: '1.0',
    description: DESCRIPTION,
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
}

/** The OpenAPI 3.1 document of these routes, without `servers`. */
export function buildDocument(routes: Route<never>[]): Json {
  const schemas = componentSchemas()
  const paths: Record<string, Json> = {}
  for (const route of routes) {
    const path = fullPath(route)
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route, schemas) }
  }
  const tags = [...new Set(routes.map(tagOf))].sort().map(name => ({ name }))
  const responses = Object.fromEntries(
    Object.keys(STATUS_DESCRIPTIONS).map(status => [status, errorResponse(Number(status), schemas)]),
  )
  return { ...HEAD, tags, paths, components: { ...COMMON, responses, schemas: sorted(schemas.components) } }
}

const sorted = (object: Json) => Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)))

const COMMON = {
  securitySchemes: { token: { type: 'apiKey', in: 'header', name: 'X-Auth-Token' } },
  headers: {
    RequestId: { description: 'The id of the request, as in the logs.', schema: { type: 'string' } },
    RetryAfter: { description: 'Seconds to wait after too many requests.', schema: { type: 'string' } },
  },
  parameters: {
    DryRun: {
      name: 'dry_run',
      in: 'query',
      description: 'true: the request is checked and answered as usual, but nothing is changed.',
      schema: { type: 'string', enum: ['true', 'false'] },
    },
    IdempotencyKey: {
      name: 'Idempotency-Key',
      in: 'header',
      description: 'A repeated request with the same key gets the first response for a day, and nothing is done twice.',
      schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[ -~]+$' },
    },
  },
}

function operation(route: Route<never>, schemas: ComponentSchemas): Json {
  const { summary, audience } = route
  return {
    operationId: operationIdOf(route),
    summary,
    tags: [tagOf(route)],
    ...(audience === 'admin' && { description: 'For administrators.' }),
    ...(isAuthorized(route) && { security: [{ token: [] }] }),
    parameters: parametersOf(route, schemas),
    ...bodyOf(route, schemas),
    responses: { ...success(route, schemas), ...errors(route) },
  }
}

const WORDS = /[^a-z0-9]+/g

/** Built from method and path, so that it changes only when they do. */
function operationIdOf({ method, path }: Pick<Route<never>, 'method' | 'path'>): string {
  const words = path.toLowerCase().replaceAll(/\{(\w+)\}/g, 'by_$1')
  return `${method.toLowerCase()}_${words.replaceAll(WORDS, '_').replaceAll(/^_|_$/g, '') || 'root'}`
}

/** Resources below an instance that have a tag of their own. */
const INSTANCE_RESOURCES = ['databases', 'users', 'root', 'operations', 'ssl']

/** The resource that a route is about. */
function tagOf({ path, audience }: Pick<Route<never>, 'path' | 'audience'>): string {
  if (audience === 'anyone') return 'service'
  const [first = '', second = ''] = path.split('/').filter(part => part !== '' && !part.startsWith('{'))
  if (first === 'instances' && INSTANCE_RESOURCES.includes(second)) return second
  if (first === 'mgmt') return { 'datastore-versions': 'datastores', quotas: 'quotas' }[second] ?? 'management'
  return first
}

function parametersOf(route: Route<never>, schemas: ComponentSchemas): Json[] {
  const names = [...fullPath(route).matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  const pathParameters = names.map(name => ({
    name,
    in: 'path',
    required: true,
    schema: pathSchema(route, name, schemas),
  }))
  const { properties = {} } = route.query ? schemas.convert(route.query, 'input') : {}
  const queryParameters = Object.entries(properties as Record<string, Json>).map(
    ([name, { description, ...schema }]) => ({
      name,
      in: 'query',
      ...(description !== undefined && { description }),
      schema,
    }),
  )
  return [...pathParameters, ...queryParameters, ...commonParameters(route)]
}

function commonParameters({ method }: Route<never>): Json[] {
  if (method === 'GET') return []
  const idempotency = method === 'POST' || method === 'PATCH' ? ['IdempotencyKey'] : []
  return ['DryRun', ...idempotency].map(name => ({ $ref: `#/components/parameters/${name}` }))
}

function pathSchema({ path }: Route<never>, name: string, schemas: ComponentSchemas): Json {
  const isId = (name === 'id' && path.includes('/instances/')) || name === 'operation_id'
  return schemas.convert(isId ? Id : z.string().min(1), 'input')
}

function bodyOf(route: Route<never>, schemas: ComponentSchemas): Json {
  const schema = route.documentedBody ?? route.body
  if (!schema) return {}
  const { example } = route
  const json = { schema: schemas.convert(schema, 'input'), ...(example !== undefined && { example }) }
  return {
    requestBody: { required: !route.optionalBody, content: { 'application/json': json, 'application/xml': {} } },
  }
}

const HEADERS = { [REQUEST_ID_HEADER]: { $ref: '#/components/headers/RequestId' } }

function success({ response: { status, body, type } }: Route<never>, schemas: ComponentSchemas): Json {
  if (status >= 400) return {}
  const description = { 202: 'Accepted.', 204: 'No content.' }[status] ?? 'OK.'
  const schema = body && schemas.convert(body, 'output')
  const content = type === undefined ? inBothFormats(schema) : { [type]: { schema } }
  return { [status]: { description, headers: HEADERS, ...(schema && { content }) } }
}

const inBothFormats = (schema: Json | undefined) => ({ 'application/json': { schema }, 'application/xml': {} })

const errors = (route: Route<never>): Json =>
  Object.fromEntries(errorStatuses(route).map(status => [status, { $ref: `#/components/responses/${status}` }]))

function errorResponse(status: number, schemas: ComponentSchemas): Json {
  const wait = { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } }
  return {
    description: STATUS_DESCRIPTIONS[status],
    headers: { ...HEADERS, ...((status === 413 || status === 429) && wait) },
    content: inBothFormats(schemas.convert(faultSchema(status), 'output')),
  }
}
