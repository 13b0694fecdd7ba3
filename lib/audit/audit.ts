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
  /** The names, two levels deep and in their order, of what the body told: `restart`, `resize.volume`, `instance.access`. */
  fields?: string[]
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
/** Names of ours: what else somebody sends is not kept. */
const FIELD = /^[\w.:-]{1,80}$/
const MOST_FIELDS = 20
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
  const { call, match, started, told } = trip
  const { user, project, admin, method, requestId } = call
  const params = Object.entries(match?.params ?? {}).filter(([name]) => name !== 'project_id')
  const targets = Object.fromEntries(params.map(([name, value]) => [name, value.slice(0, 255)]))
  const fields = fieldsOf(told)
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
    ...(fields.length > 0 && { fields }),
    ...(instance !== undefined && { instance }),
    requestId,
    remote: requestContext.identity?.sourceIp ?? '',
  }
}

/** Names only: values may be secrets. */
function fieldsOf(body: unknown): string[] {
  const names = (value: unknown) =>
    typeof value !== 'object' || Array.isArray(value) ? [] : Object.keys(Object(value))
  const all = names(body).flatMap(name => {
    const within = names(Object(body)[name])
    return within.length === 0 ? [name] : within.map(inner => `${name}.${inner}`)
  })
  return all.filter(name => FIELD.test(name)).slice(0, MOST_FIELDS)
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
    fields: more.fields ?? [],
    instance_id: more.instance ?? null,
    status: more.status ?? null,
    request_id: more.requestId,
    remote_address: more.remote,
  }
}
