import { z } from 'zod'
import { fullPath, type Route } from '../kit/http/route.ts'
import { FAULT_NAMES, FILTER_TITLES } from '../trove/faults.ts'

/** What each error status means. */
export const STATUS_DESCRIPTIONS: Record<number, string> = {
  400: 'The request is malformed or invalid.',
  401: "There is no valid token, or it is not an administrator's.",
  403: "The project is not the token's, or the request is not allowed.",
  404: 'The resource or the path does not exist.',
  408: 'The request did not arrive in time.',
  409: 'Conflicts with a running operation.',
  413: 'The body is too large, a quota would be exceeded, or (with Retry-After) there were too many requests.',
  415: 'The content type is not supported.',
  422: 'Not possible in the current state.',
  429: 'More requests than the usage plan allows.',
  431: 'The headers are larger than 16 KiB.',
  500: 'The service failed; its log has the reason under the request id.',
  501: 'Part of the API, but not implemented.',
  503: 'Too much work is waiting already; try again later. Of /healthz: the disk is full.',
  504: "The instance's agent did not answer in time, or the request took too long.",
  507: 'The disk of the service is full: only deletes and logins are possible until there is space.',
}

/** An error's body: Trove's fault, the form of its filters if they use the status, and for 401 also Keystone's. */
export function faultSchema(status: number): z.ZodType {
  const limited = status === 413 || status === 429
  const rate = limited ? { details: z.string().optional(), retryAfter: z.string().optional() } : {}
  const fault = z.strictObject({ code: z.literal(status), message: z.string(), ...rate })
  const forms: z.ZodType[] = [z.strictObject({ [FAULT_NAMES[status] ?? 'serverError']: fault })]
  const title = FILTER_TITLES[status]
  if (title !== undefined) {
    const code = z.literal(`${status} ${title}`)
    forms.push(z.strictObject({ message: z.string(), code, title: z.literal(title) }))
  }
  if (status === 401) {
    const error = z.strictObject({ code: z.literal(401), title: z.string(), message: z.string() })
    forms.push(z.strictObject({ error }))
  }
  return forms.length === 1 && forms[0] ? forms[0] : z.union(forms)
}

/** Every request may get these, whatever its route. */
const ANYWHERE = [400, 408, 413, 415, 431, 500, 503, 504]
const BEHIND_AUTHORIZER = [401, 429]
const IN_PROJECT = [403, 404]

/** Whether the authorizer checks the request before it reaches the route. */
export const isAuthorized = (route: Pick<Route<never>, 'audience' | 'path'>) => fullPath(route).startsWith('/v1.0')

/** Whether not every datastore can do it: contents, root and TLS of an instance, and changes of its access. */
const takesCapability = ({ method, path }: Route<never>) =>
  /^\/instances\/\{id\}\/(databases|users|root|ssl)/.test(path) || (path === '/instances/{id}' && method === 'PUT')

/** The error statuses that a route may answer. */
export function errorStatuses(route: Route<never>): number[] {
  const { method, path, audience, response } = route
  const concernsInstance = path.includes('/instances/{id}')
  const changes = method !== 'GET'
  return [
    ...ANYWHERE,
    ...(isAuthorized(route) ? BEHIND_AUTHORIZER : []),
    ...(audience === 'anyone' ? [] : IN_PROJECT),
    ...(changes ? [409, 422, 507] : []),
    ...(concernsInstance ? [409, 422] : []),
    ...((method === 'POST' && path.includes('/instances')) || takesCapability(route) ? [501] : []),
    ...(response.status >= 400 ? [response.status] : []),
  ]
    .filter((status, index, all) => all.indexOf(status) === index)
    .sort((a, b) => a - b)
}
