import { z } from 'zod'
import { bodyOf } from './api-helpers.ts'
import { type Entry, projectRoutes, withNames } from './route-table.ts'

/** A body that a route accepts, and the status of a dry run with it. */
export interface Variant {
  route: string
  body: unknown
  /** The status for those who may use the route. */
  status: number
  /** The status for a member, if it is another. */
  member?: number
  /** The body is refused before the instance is looked up: a foreign tenant gets the same status. */
  anyone?: true
  /** The body as XML, where clients do not write it like its JSON. */
  document?: string
}

const ACTION = 'POST /instances/{id}/action'
const MANAGE = 'POST /mgmt/instances/{id}/action'
const OPERATION = 'POST /instances/{id}/operations/{operation_id}/action'
const PUT = 'PUT /instances/{id}'
const PATCH = 'PATCH /instances/{id}'
const USER = 'PUT /instances/{id}/users/{user}'
const VERSION = 'PATCH /mgmt/datastore-versions/{id}'
const QUOTAS = 'PUT /mgmt/quotas/{project}'
const HOST = 'POST /mgmt/hosts/{host}/action'
const SSL = 'POST /instances/{id}/ssl'
const ID = '00000000-0000-4000-8000-000000000000'
const NS = 'xmlns="http://docs.openstack.org/database/api/v1.0"'

const variantsOf = (route: string, status: number, ...bodies: unknown[]): Variant[] =>
  bodies.map(body => ({ route, body, status }))
const instanceVariants = (route: string, status: number, ...bodies: unknown[]) =>
  variantsOf(route, status, ...bodies.map(body => ({ instance: body })))

const refusedForAnyone = (variants: Variant[]) => variants.map((variant): Variant => ({ ...variant, anyone: true }))

/** Bodies for an ACTIVE instance of version 18.3 with flavor 1, 1 GB, root enabled and no running operation. */
export const VARIANTS: Variant[] = [
  ...variantsOf(
    ACTION,
    202,
    { restart: {} },
    { resize: { volume: { size: 2 } } },
    { resize: { volume: { size: '2' } } },
  ),
  ...variantsOf(ACTION, 202, { resize: { volume: 2 } }, { resize: { flavorRef: 2 } }, { resize: { flavorRef: '2' } }),
  ...variantsOf(
    ACTION,
    202,
    { resize: { flavorRef: 'http://127.0.0.1/flavors/2' } },
    { reset_status: { force_delete: true } },
  ),
  { route: ACTION, body: { reset_status: {} }, status: 202, member: 403 },
  // The form of openstacksdk; XML has an empty element.
  { route: ACTION, body: { restart: null }, status: 202, document: `<restart ${NS}/>` },
  {
    route: ACTION,
    body: { resize: { volume: { size: 4 } } },
    status: 202,
    document: `<resize ${NS}><volume size="4"/></resize>`,
  },
  {
    route: ACTION,
    body: { resize: { flavorRef: 2 } },
    status: 202,
    document: `<resize ${NS}><flavorRef>2</flavorRef></resize>`,
  },
  // Not possible: the instance has this size or flavor already, or is no replica.
  ...variantsOf(
    ACTION,
    400,
    { resize: { volume: { size: 1 } } },
    { resize: { flavorRef: 1 } },
    { resize: { flavorRef: 'none' } },
  ),
  ...variantsOf(ACTION, 400, { promote_to_replica_source: {} }, { eject_replica_source: {} }),
  ...variantsOf(ACTION, 413, { resize: { volume: { size: 11 } } }),

  ...variantsOf(MANAGE, 202, { stop: {} }, { reboot: {} }, { 'reset-task-status': {} }),
  ...variantsOf(MANAGE, 202, { rebuild: {} }, { rebuild: { image_id: ID } }),
  // The compute of a single machine has no other host.
  ...variantsOf(MANAGE, 501, { migrate: {} }, { migrate: { host: 'other' } }),

  // The operation has ended.
  ...variantsOf(OPERATION, 409, { cancel: {} }, { retry: {} }),

  ...[PUT, PATCH].flatMap(route => [
    ...instanceVariants(route, 202, {}, { name: 'theirs' }, { configuration: null }, { datastore_version: '18' }),
    ...instanceVariants(
      route,
      202,
      { name: 'theirs', datastore_version: '18' },
      { name: 'theirs', configuration: null },
    ),
    ...instanceVariants(route, 404, { configuration: ID }),
    ...instanceVariants(route, 400, { replica_of: null }, { replica_of: ID }),
    ...instanceVariants(route, 400, { datastore_version: '17' }, { datastore_version: 'none' }),
    ...refusedForAnyone(instanceVariants(route, 400, { configuration: null, datastore_version: '18' })),
  ]),
  ...instanceVariants(
    PUT,
    202,
    { access: { is_public: true } },
    { access: { allowed_cidrs: ['192.0.2.7', '10.0.0.0/8'] } },
  ),
  ...instanceVariants(PUT, 202, { name: 'theirs', access: { is_public: true, allowed_cidrs: [] } }),
  ...instanceVariants(PATCH, 400, { slave_of: '' }),
  // Keys that only the other method accepts.
  ...refusedForAnyone([
    ...instanceVariants(PUT, 400, { slave_of: '' }),
    ...instanceVariants(PATCH, 400, { access: { is_public: true } }),
  ]),

  ...variantsOf('PUT /instances/{id}/users', 202, { users: [{ name: 'ann', password: 'theirs1', host: '%' }] }),
  ...variantsOf('PUT /instances/{id}/users', 404, { users: [{ name: 'nobody', password: 'theirs1' }] }),
  ...variantsOf(
    USER,
    202,
    { user: { name: 'theirs' } },
    { user: { password: 'theirs1' } },
    { user: { host: '192.0.2.7' } },
  ),
  ...variantsOf(USER, 202, { user: { name: 'theirs', password: 'theirs1', host: '192.0.2.7' } }),
  ...variantsOf('PUT /instances/{id}/users/{user}/databases', 202, { databases: [{ name: 'cart' }] }),
  ...variantsOf('PUT /instances/{id}/users/{user}/databases', 404, { databases: [{ name: 'nothing' }] }),

  ...variantsOf(
    VERSION,
    202,
    { name: 'theirs' },
    { active: false },
    { image: '17' },
    { image_tags: ['postgresql', '17'] },
  ),
  ...variantsOf(VERSION, 202, { packages: ['theirs'] }, { default: true }, { default_datastore: true }),
  ...variantsOf(
    VERSION,
    202,
    { registry_ext: 'theirs' },
    { repl_strategy: 'theirs' },
    { datastore_manager: 'postgresql' },
  ),
  ...variantsOf(VERSION, 202, { name: 'theirs', active: false, image: '17', image_tags: [], default: true }),
  ...variantsOf(VERSION, 400, { image: 'none' }, { version: { name: 'theirs' } }),

  ...variantsOf(
    QUOTAS,
    200,
    { quotas: { instances: 1 } },
    { quotas: { ram: 1, volumes: '1', backups: 0 } },
    { quotas: {} },
  ),
  // Null keeps a limit; XML omits it.
  {
    route: QUOTAS,
    body: { quotas: { instances: 1, ram: null } },
    status: 200,
    document: `<quotas ${NS} instances="1"/>`,
  },
  ...variantsOf(HOST, 202, { drain: {} }, { resume: {} }),

  ...variantsOf(QUOTAS, 400, { quotas: { instances: -2 } }),
  ...variantsOf(QUOTAS, 404, { quotas: { cores: 1 } }),

  ...variantsOf(
    SSL,
    200,
    { ssl: { enable: true } },
    { ssl: { enable: 1, mode: 'enforced' } },
    { ssl: { disable: true } },
  ),
  ...variantsOf(SSL, 200, { ssl: { rollback: true } }, { ssl: { enable: true, mode: 'basic', container_ref: '' } }),
  // There is no key manager.
  ...refusedForAnyone(
    variantsOf(SSL, 501, { ssl: { enable: true, mode: 'mtls' } }, { ssl: { enable: true, password_ref: 'theirs' } }),
  ),
]

/** The variants with names and their routes' entries, for `describe.each`. */
export const namedVariants = VARIANTS.map(variant => {
  const [, entry] = withNames(projectRoutes).find(([name]) => name === variant.route) ?? []
  if (!entry) throw new Error(`there is no ${variant.route}`)
  const { body, document } = variant
  return [`${variant.route} ${JSON.stringify(body)}${document ? ` or ${document}` : ''}`, entry, variant] as const
})

/** Body keys of actions, PUT and PATCH that neither `BODIES` nor a variant uses, as `route key` or `route key.key`. */
export function untriedKeys(): string[] {
  return withNames(projectRoutes)
    .filter(([name, { body }]) => body && (/^(PUT|PATCH)/.test(name) || name.endsWith('/action')))
    .flatMap(([name, entry]) => {
      const tried = [bodyOf(entry), ...VARIANTS.filter(({ route }) => route === name).map(({ body }) => body)]
      const covered = new Set(tried.flatMap(body => bodyKeys(body)))
      return documentedKeys(entry).flatMap(path => (covered.has(path) ? [] : [`${name} ${path}`]))
    })
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** The keys of a body, and those below them; a list has the keys of its items. */
function bodyKeys(body: unknown, above = '', depth = 2): string[] {
  if (!isObject(body) || depth === 0) return []
  if (Array.isArray(body)) return body.flatMap(item => bodyKeys(item, above, depth))
  return Object.entries(body).flatMap(([key, value]) => [
    `${above}${key}`,
    ...bodyKeys(value, `${above}${key}.`, depth - 1),
  ])
}

/** The same for the documented body of a route. */
const documentedKeys = ({ documentedBody, body }: Entry) =>
  schemaKeys(z.toJSONSchema(documentedBody ?? body ?? z.unknown(), { io: 'input', unrepresentable: 'any' }))

function schemaKeys(schema: unknown, above = '', depth = 2): string[] {
  if (!isObject(schema) || depth === 0) return []
  const { anyOf, items, properties, propertyNames } = schema
  const forms = Array.isArray(anyOf) ? anyOf.flatMap(form => schemaKeys(form, above, depth)) : []
  const names = isObject(propertyNames) && Array.isArray(propertyNames['enum']) ? propertyNames['enum'] : []
  const entries = isObject(properties)
    ? Object.entries(properties)
    : names.map(name => [String(name), undefined] as const)
  const keys = entries.flatMap(([key, value]) => [`${above}${key}`, ...schemaKeys(value, `${above}${key}.`, depth - 1)])
  return [...new Set([...forms, ...schemaKeys(items, above, depth), ...keys])]
}
