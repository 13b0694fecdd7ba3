import { z } from 'zod'
import { NAMES, TITLES } from '../kit/errors.ts'
import { type Route, wholePath } from '../kit/http/route.ts'

/** What each refusal means. */
export const REASONS: Record<number, string> = {
  400: 'The request is malformed, or asks for what cannot be.',
  401: 'No valid token, or not an administrator.',
  403: "Not the token's project, or not allowed.",
  404: 'There is no such thing, or no such path.',
  408: 'The request did not come in time.',
  409: 'It does not go together with what is being done.',
  413: 'The body is too large, a quota would be exceeded, or (with Retry-After) too many requests came.',
  415: 'The content type is not served.',
  422: 'Not possible in the present state.',
  429: 'More requests than the usage plan allows.',
  431: 'The headers are larger than 16 KiB.',
  500: 'A failure of the service, told by its request id.',
  501: 'Known, but not offered.',
  503: 'Too much is waiting already.',
  504: "The instance's agent did not answer in time, or the request took too long.",
}

/** Trove's fault envelope, its filters' form where there is one, and for 401 Keystone's. */
export function faultSchema(status: number): z.ZodType {
  const limited = status === 413 || status === 429
  const rate = limited ? { details: z.string().optional(), retryAfter: z.string().optional() } : {}
  const fault = z.strictObject({ code: z.literal(status), message: z.string(), ...rate })
  const forms: z.ZodType[] = [z.strictObject({ [NAMES[status] ?? 'serverError']: fault })]
  const title = TITLES[status]
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

/** Anything may be refused with these, before it is looked at. */
const ANYWHERE = [400, 408, 413, 415, 431, 500, 503, 504]
const BEHIND_AUTHORIZER = [401, 429]
const IN_PROJECT = [403, 404]

/** Whether the authorizer is asked before a route is. */
export const isAuthorized = (route: Pick<Route<never>, 'audience' | 'path'>) => wholePath(route).startsWith('/v1.0')

/** The statuses that a route may be refused with. */
export function refusalsOf(route: Route<never>): number[] {
  const { method, path, audience, answers } = route
  const ofInstance = path.includes('/instances/{id}')
  const changes = method !== 'GET'
  return [
    ...ANYWHERE,
    ...(isAuthorized(route) ? BEHIND_AUTHORIZER : []),
    ...(audience === 'anyone' ? [] : IN_PROJECT),
    ...(changes ? [409, 422] : []),
    ...(ofInstance ? [409, 422] : []),
    ...(method === 'POST' && path.includes('/instances') ? [501] : []),
    ...(answers.status >= 400 ? [answers.status] : []),
  ]
    .filter((status, index, all) => all.indexOf(status) === index)
    .sort((a, b) => a - b)
}
