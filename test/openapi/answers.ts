import { z } from 'zod'
import { routes } from '../../functions/api.ts'
import { router } from '../../lib/kit/http/route.ts'
import { errorStatuses, faultSchema, STATUS_DESCRIPTIONS } from '../../lib/openapi/faults.ts'

const find = router(routes)
const faults = new Map<number, z.ZodType>(
  Object.keys(STATUS_DESCRIPTIONS).map(status => [Number(status), faultSchema(Number(status))]),
)

/** An answer of the API; `body` is parsed if it is JSON. */
export interface ReceivedAnswer {
  status: number
  type: string | null
  body: unknown
}

/** Throws if openapi.json does not describe such an answer of the route. Paths outside the API are not checked. */
export function assertDescribed(method: string, url: string, answer: ReceivedAnswer): void {
  // Not by a URL object, which would resolve `..`.
  const [pathname = ''] = url.replace(/^https?:\/\/[^/]*/, '').split('?')
  // An answer to HEAD has no body.
  if (method === 'HEAD') return
  const match = find(method, pathname)
  const inProject = pathname.startsWith('/v1.0/')
  if (!match && !inProject) return
  const problem = match ? routeProblem(match.route, answer) : unknownPathProblem(answer)
  if (problem === undefined) return
  throw new Error(`${method} ${pathname} answered ${answer.status}, which openapi.json does not describe: ${problem}`)
}

const unknownPathProblem = (answer: ReceivedAnswer) =>
  answer.status >= 400 ? schemaProblem(faults.get(answer.status), answer) : 'no such route'

function routeProblem(route: (typeof routes)[number], answer: ReceivedAnswer): string | undefined {
  const { status, body, type } = route.response
  if (answer.status === status && status < 400) {
    const media = type ?? 'application/json'
    if (body && type !== undefined && answer.type !== media) return `${answer.type} is not ${media}`
    return schemaProblem(body, answer)
  }
  if (!errorStatuses(route).includes(answer.status)) return 'no such status'
  return schemaProblem(faults.get(answer.status), answer)
}

/** How the body violates the schema. XML bodies are converted from the same data, and are not checked. */
function schemaProblem(schema: z.ZodType | undefined, { body, type }: ReceivedAnswer): string | undefined {
  if (!schema) return body === undefined ? undefined : 'it has a body'
  if (type === 'application/xml') return undefined
  const parsed = schema.safeParse(body)
  return parsed.success ? undefined : `${z.prettifyError(parsed.error)}\n${JSON.stringify(body)?.slice(0, 2_000)}`
}
