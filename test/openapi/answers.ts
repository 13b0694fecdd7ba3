import { z } from 'zod'
import { routes } from '../../functions/api.ts'
import { router } from '../../lib/kit/http/route.ts'
import { faultSchema, REASONS, refusalsOf } from '../../lib/openapi/faults.ts'

const find = router(routes)
const faults = new Map<number, z.ZodType>(
  Object.keys(REASONS).map(status => [Number(status), faultSchema(Number(status))]),
)

/** An answer as it came; `body` is parsed if it is JSON. */
export interface Given {
  status: number
  type: string | null
  body: unknown
}

/** Throws if the route's page (openapi.json) says nothing of such an answer; other paths than the API's are let through. */
export function assertDescribed(method: string, url: string, given: Given): void {
  // As it was sent: a URL object would take `..` for a way up.
  const [pathname = ''] = url.replace(/^https?:\/\/[^/]*/, '').split('?')
  // An answer to HEAD has no body to look at.
  if (method === 'HEAD') return
  const match = find(method, pathname)
  const inProject = pathname.startsWith('/v1.0/')
  if (!match && !inProject) return
  const why = match ? whyNot(match.route, given) : unknownPath(given)
  if (why === undefined) return
  throw new Error(`${method} ${pathname} answered ${given.status} as openapi.json does not say: ${why}`)
}

const unknownPath = (given: Given) => (given.status >= 400 ? unlike(faults.get(given.status), given) : 'no such route')

function whyNot(route: (typeof routes)[number], given: Given): string | undefined {
  const { status, body, type } = route.answers
  if (given.status === status && status < 400) {
    const media = type ?? 'application/json'
    if (body && type !== undefined && given.type !== media) return `${given.type} is not ${media}`
    return unlike(body, given)
  }
  if (!refusalsOf(route).includes(given.status)) return 'no such status'
  return unlike(faults.get(given.status), given)
}

/** What of the body does not fit. XML is the same by rule, and not looked at. */
function unlike(schema: z.ZodType | undefined, { body, type }: Given): string | undefined {
  if (!schema) return body === undefined ? undefined : 'it has a body'
  if (type === 'application/xml') return undefined
  const parsed = schema.safeParse(body)
  return parsed.success ? undefined : `${z.prettifyError(parsed.error)}\n${JSON.stringify(body)?.slice(0, 2_000)}`
}
