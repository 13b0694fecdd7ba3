import type { ApiEvent } from '../kit/http/pipeline.ts'
import type { Recorder } from '../kit/http/safe.ts'
import { kind } from '../kit/records.ts'
import { timestamp } from '../kit/time.ts'
import type { Platform } from '../platform/platform.ts'

/** Who did or tried what, when, and what came of it. No bodies, no secrets. */
export interface AuditRecord {
  /** Sorts newest first. */
  id: string
  /** Milliseconds since the epoch. */
  at: number
  /** Who: user and project of the token. */
  user: string
  project: string
  admin: boolean
  /** What: method, route and its path variables. `route` is missing for paths that are none. */
  method: string
  route?: string
  targets: Record<string, string>
  instance?: string
  /** Missing while it is carried out, and where the process died after doing it. */
  status?: number
  requestId: string
  remote: string
}

/** Records by the project of who did it. */
export const audits = kind<AuditRecord>('audit')

const KEPT_MS = 90 * 86_400_000
/** Above every time in milliseconds that has 13 digits. */
const END_OF_TIME = 9_999_999_999_999
const INSTANCE = /^\/instances\/\{id\}(\/|$)|^\/mgmt\/instances\/\{id\}(\/|$)/
/** How many refused requests of a project are recorded in a minute (by one process): beyond, they are only logged. */
const REFUSED_A_MINUTE = 60
const MINUTE_MS = 60_000

/** The change that records a mutation; written first without its outcome where that is not known yet, then again with it. */
export function recorder(): Recorder<Platform> {
  const isWithin = budget()
  return (event, outcome) => {
    const { call, started } = event.trip
    if (call.project === '') return []
    const status = outcome && ('reply' in outcome ? outcome.reply.status : outcome.fault.status)
    const refused = status !== undefined && status >= 400
    if (refused && !isWithin(call.project, started)) return []
    const made = outcome && 'reply' in outcome ? instanceOf(outcome.reply.body) : undefined
    const record = { ...factsOf(event, made), ...(status !== undefined && { status }) }
    const { id, instance } = record
    const indexed = { expires: started + KEPT_MS, ...(instance !== undefined && { instance }) }
    return [{ op: 'put', key: audits.key(call.project, id), body: record, ...indexed }]
  }
}

function factsOf({ trip, requestContext }: ApiEvent<Platform>, made: string | undefined): AuditRecord {
  const { call, match, started } = trip
  const { user, project, admin, method, requestId } = call
  const told = Object.entries(match?.params ?? {}).filter(([name]) => name !== 'project_id')
  const targets = Object.fromEntries(told.map(([name, value]) => [name, value.slice(0, 255)]))
  const instance = INSTANCE.test(match?.route.path ?? '') ? targets['id'] : made
  return {
    id: `${END_OF_TIME - started}-${requestId.replace(/^req-/, '')}`,
    at: started,
    user,
    project,
    admin,
    method,
    ...(match && { route: match.route.path }),
    targets: { ...targets, ...(made !== undefined && { id: made }) },
    ...(instance !== undefined && { instance }),
    requestId,
    remote: requestContext.identity?.sourceIp ?? '',
  }
}

/** The id of the instance that an answer is about. */
function instanceOf(body: unknown): string | undefined {
  const { instance } = Object(body)
  const id: unknown = Object(instance).id
  return typeof id === 'string' ? id : undefined
}

function budget(): (project: string, now: number) => boolean {
  let minute = 0
  let counts = new Map<string, number>()
  return (project, now) => {
    const current = Math.floor(now / MINUTE_MS)
    if (current !== minute) {
      minute = current
      counts = new Map()
    }
    const count = (counts.get(project) ?? 0) + 1
    counts.set(project, count)
    return count <= REFUSED_A_MINUTE
  }
}

/** A record as the API shows it. */
export function auditView({ id, at, user, project, admin, method, route, targets, ...more }: AuditRecord) {
  return {
    id,
    created: timestamp(at),
    user_id: user,
    project_id: project,
    admin,
    method,
    route: route ?? null,
    targets,
    instance_id: more.instance ?? null,
    status: more.status ?? null,
    request_id: more.requestId,
    remote_address: more.remote,
  }
}
