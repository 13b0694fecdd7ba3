import { z } from 'zod'
import { bodyOf } from './api-helpers.ts'
import { type Entry, named, ofProject } from './route-table.ts'

/** One of the bodies that a route takes, and what a dry run of it answers. */
export interface Variant {
  route: string
  body: unknown
  /** What whoever may use the route is answered. */
  status: number
  /** What a member is answered, where that is something else. */
  member?: number
  /** It is refused by its body alone, whosever the instance is. */
  anyone?: true
  /** The body as XML, where a client would not write it as its JSON says. */
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
const SSL = 'POST /instances/{id}/ssl'
const ID = '00000000-0000-4000-8000-000000000000'
const NS = 'xmlns="http://docs.openstack.org/database/api/v1.0"'

const of = (route: string, status: number, ...bodies: unknown[]): Variant[] =>
  bodies.map(body => ({ route, body, status }))
const instance = (route: string, status: number, ...bodies: unknown[]) =>
  of(route, status, ...bodies.map(body => ({ instance: body })))

const refused = (variants: Variant[]) => variants.map((variant): Variant => ({ ...variant, anyone: true }))

/** What every instance takes that is ACTIVE, of version 18.3, with flavor 1, 1 GB, root enabled and nothing under way. */
export const VARIANTS: Variant[] = [
  ...of(ACTION, 202, { restart: {} }, { resize: { volume: { size: 2 } } }, { resize: { volume: { size: '2' } } }),
  ...of(ACTION, 202, { resize: { volume: 2 } }, { resize: { flavorRef: 2 } }, { resize: { flavorRef: '2' } }),
  ...of(ACTION, 202, { resize: { flavorRef: 'http://127.0.0.1/flavors/2' } }, { reset_status: { force_delete: true } }),
  { route: ACTION, body: { reset_status: {} }, status: 202, member: 403 },
  // As openstacksdk says it; XML has the empty element.
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
  // Of what was asked for, nothing is possible: the instance has it already, is too small for it, or is no replica.
  ...of(
    ACTION,
    400,
    { resize: { volume: { size: 1 } } },
    { resize: { flavorRef: 1 } },
    { resize: { flavorRef: 'none' } },
  ),
  ...of(ACTION, 400, { promote_to_replica_source: {} }, { eject_replica_source: {} }),
  ...of(ACTION, 413, { resize: { volume: { size: 11 } } }),

  ...of(MANAGE, 202, { stop: {} }, { reboot: {} }, { 'reset-task-status': {} }),
  ...of(MANAGE, 202, { rebuild: {} }, { rebuild: { image_id: ID } }),
  // No compute of one machine has another host.
  ...of(MANAGE, 501, { migrate: {} }, { migrate: { host: 'other' } }),

  // Of an operation that has ended.
  ...of(OPERATION, 409, { cancel: {} }, { retry: {} }),

  ...[PUT, PATCH].flatMap(route => [
    ...instance(route, 202, {}, { name: 'theirs' }, { configuration: null }, { datastore_version: '18' }),
    ...instance(route, 202, { name: 'theirs', datastore_version: '18' }, { name: 'theirs', configuration: null }),
    ...instance(route, 404, { configuration: ID }),
    ...instance(route, 400, { replica_of: null }, { replica_of: ID }),
    ...instance(route, 400, { datastore_version: '17' }, { datastore_version: 'none' }),
    ...refused(instance(route, 400, { configuration: null, datastore_version: '18' })),
  ]),
  ...instance(PUT, 202, { access: { is_public: true } }, { access: { allowed_cidrs: ['192.0.2.7', '10.0.0.0/8'] } }),
  ...instance(PUT, 202, { name: 'theirs', access: { is_public: true, allowed_cidrs: [] } }),
  ...instance(PATCH, 400, { slave_of: '' }),
  // What is the other method's only.
  ...refused([...instance(PUT, 400, { slave_of: '' }), ...instance(PATCH, 400, { access: { is_public: true } })]),

  ...of('PUT /instances/{id}/users', 202, { users: [{ name: 'ann', password: 'theirs1', host: '%' }] }),
  ...of('PUT /instances/{id}/users', 404, { users: [{ name: 'nobody', password: 'theirs1' }] }),
  ...of(USER, 202, { user: { name: 'theirs' } }, { user: { password: 'theirs1' } }, { user: { host: '192.0.2.7' } }),
  ...of(USER, 202, { user: { name: 'theirs', password: 'theirs1', host: '192.0.2.7' } }),
  ...of('PUT /instances/{id}/users/{user}/databases', 202, { databases: [{ name: 'cart' }] }),
  ...of('PUT /instances/{id}/users/{user}/databases', 404, { databases: [{ name: 'nothing' }] }),

  ...of(VERSION, 202, { name: 'theirs' }, { active: false }, { image: '17' }, { image_tags: ['postgresql', '17'] }),
  ...of(VERSION, 202, { packages: ['theirs'] }, { default: true }, { default_datastore: true }),
  ...of(VERSION, 202, { registry_ext: 'theirs' }, { repl_strategy: 'theirs' }, { datastore_manager: 'postgresql' }),
  ...of(VERSION, 202, { name: 'theirs', active: false, image: '17', image_tags: [], default: true }),
  ...of(VERSION, 400, { image: 'none' }, { version: { name: 'theirs' } }),

  ...of(QUOTAS, 200, { quotas: { instances: 1 } }, { quotas: { ram: 1, volumes: '1', backups: 0 } }, { quotas: {} }),
  // Null leaves a limit as it is; XML leaves it out.
  {
    route: QUOTAS,
    body: { quotas: { instances: 1, ram: null } },
    status: 200,
    document: `<quotas ${NS} instances="1"/>`,
  },
  ...of(QUOTAS, 400, { quotas: { instances: -2 } }),
  ...of(QUOTAS, 404, { quotas: { cores: 1 } }),

  ...of(SSL, 200, { ssl: { enable: true } }, { ssl: { enable: 1, mode: 'enforced' } }, { ssl: { disable: true } }),
  ...of(SSL, 200, { ssl: { rollback: true } }, { ssl: { enable: true, mode: 'basic', container_ref: '' } }),
  // There is no key manager.
  ...refused(of(SSL, 501, { ssl: { enable: true, mode: 'mtls' } }, { ssl: { enable: true, password_ref: 'theirs' } })),
]

/** The variants with names, for `describe.each`; and each route's entry. */
export const namedVariants = VARIANTS.map(variant => {
  const [, entry] = named(ofProject).find(([name]) => name === variant.route) ?? []
  if (!entry) throw new Error(`there is no ${variant.route}`)
  const { body, document } = variant
  return [`${variant.route} ${JSON.stringify(body)}${document ? ` or ${document}` : ''}`, entry, variant] as const
})

/** Keys of bodies of actions, PUT and PATCH that neither `BODIES` nor a variant has: as `route key` or `route key.key`. */
export function untried(): string[] {
  return named(ofProject)
    .filter(([name, { body }]) => body && (/^(PUT|PATCH)/.test(name) || name.endsWith('/action')))
    .flatMap(([name, entry]) => {
      const tried = [bodyOf(entry), ...VARIANTS.filter(({ route }) => route === name).map(({ body }) => body)]
      const known = new Set(tried.flatMap(body => pathsOf(body)))
      return described(entry).flatMap(path => (known.has(path) ? [] : [`${name} ${path}`]))
    })
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** The keys of a body and those below them; a list's are those of its items. */
function pathsOf(body: unknown, above = '', depth = 2): string[] {
  if (!isObject(body) || depth === 0) return []
  if (Array.isArray(body)) return body.flatMap(item => pathsOf(item, above, depth))
  return Object.entries(body).flatMap(([key, value]) => [
    `${above}${key}`,
    ...pathsOf(value, `${above}${key}.`, depth - 1),
  ])
}

/** The same of what the route's page says that it takes. */
const described = ({ shownBody, body }: Entry) =>
  keysIn(z.toJSONSchema(shownBody ?? body ?? z.unknown(), { io: 'input', unrepresentable: 'any' }))

function keysIn(schema: unknown, above = '', depth = 2): string[] {
  if (!isObject(schema) || depth === 0) return []
  const { anyOf, items, properties, propertyNames } = schema
  const forms = Array.isArray(anyOf) ? anyOf.flatMap(form => keysIn(form, above, depth)) : []
  const names = isObject(propertyNames) && Array.isArray(propertyNames['enum']) ? propertyNames['enum'] : []
  const own = isObject(properties) ? Object.entries(properties) : names.map(name => [String(name), undefined] as const)
  const keys = own.flatMap(([key, value]) => [`${above}${key}`, ...keysIn(value, `${above}${key}.`, depth - 1)])
  return [...new Set([...forms, ...keysIn(items, above, depth), ...keys])]
}
