import type { AuditRecorder } from '../kit/http/mutation.ts'
import type { ApiEvent } from '../kit/http/pipeline.ts'
import { recordType } from '../kit/records.ts'
import { timestamp } from '../kit/time.ts'
import { instanceSubject } from '../model/instance.ts'
import type { Platform } from '../platform/platform.ts'

/** Who did or tried what, when, and with which outcome. Contains no bodies and no secrets. */
export interface AuditRecord {
  /** Sorts newest first. */
  id: string
  /** Milliseconds since the epoch. */
  at: number
  /** Who: user and project of the token. */
  user: string
  project: string
  admin: boolean
  /** What: method, route and its path variables. `route` is missing for a path that no route matches. */
  method: string
  route?: string
  targets: Record<string, string>
  /** The names of the fields in the body, two levels deep, in order: `restart`, `resize.volume`, `instance.access`. */
  fields?: string[]
  instance?: string
  /** Missing while the request is handled, and for good if the process died after committing it. */
  status?: number
  requestId: string
  remote: string
}

/** Records by the project of who made the request. */
export const auditRecords = recordType<AuditRecord>('audit')

export const AUDIT_RETENTION_MS = 90 * 86_400_000
/** Above every time in milliseconds that has 13 digits. */
const END_OF_TIME = 9_999_999_999_999
const INSTANCE = /^\/instances\/\{id\}(\/|$)|^\/mgmt\/instances\/\{id\}(\/|$)/
/** What the API's own field names look like. Other names that a client sends are not recorded. */
const FIELD = /^[\w.:-]{1,80}$/
const MAX_FIELDS = 20
/** How many refused requests of a project one process records per minute. The rest are only logged. */
const REFUSALS_PER_MINUTE = 60
const MINUTE_MS = 60_000

/**
 * Makes the change that records a mutation. A mutation with an unknown outcome is recorded without a status first, and
 * again once it has one.
 */
export function auditRecorder(): AuditRecorder<Platform> {
  const takeBudget = refusalBudget()
  return (event, outcome) => {
    const { call, started } = event.state
    if (call.project === '') return []
    const status = outcome && ('reply' in outcome ? outcome.reply.status : outcome.fault.status)
    const refused = status !== undefined && status >= 400
    if (refused && !takeBudget(call.project, started)) return []
    const createdId = outcome && 'reply' in outcome ? instanceIdOf(outcome.reply.body) : undefined
    const record = { ...describeRequest(event, createdId), ...(status !== undefined && { status }) }
    const { id, instance } = record
    const indexed = {
      expires: started + AUDIT_RETENTION_MS,
      ...(instance !== undefined && { subject: instanceSubject(instance) }),
    }
    return [{ op: 'put', key: auditRecords.key(call.project, id), body: record, ...indexed }]
  }
}

/** `createdId`: the id of the instance in the reply. */
function describeRequest(
  { state, requestContext }: ApiEvent<Platform>,
  createdId: string | undefined,
): Omit<AuditRecord, 'status'> {
  const { call, match, started, rawBody } = state
  const { user, project, admin, method, requestId } = call
  const params = Object.entries(match?.params ?? {}).filter(([name]) => name !== 'project_id')
  const targets = Object.fromEntries(params.map(([name, value]) => [name, value.slice(0, 255)]))
  const fields = fieldNames(rawBody)
  const instance = INSTANCE.test(match?.route.path ?? '') ? targets['id'] : createdId
  return {
    id: auditId(started, requestId),
    at: started,
    user,
    project,
    admin,
    method,
    ...(match && { route: match.route.path }),
    targets: { ...targets, ...(createdId !== undefined && { id: createdId }) },
    ...(fields.length > 0 && { fields }),
    ...(instance !== undefined && { instance }),
    requestId,
    remote: requestContext.identity?.sourceIp ?? '',
  }
}

/** Sorts the newest first. */
export const auditId = (started: number, requestId: string) =>
  `${END_OF_TIME - started}-${requestId.replace(/^req-/, '')}`

/** Names only: values may be secrets. */
export function fieldNames(body: unknown): string[] {
  const keysOf = (value: unknown) =>
    typeof value !== 'object' || Array.isArray(value) ? [] : Object.keys(Object(value))
  const names = keysOf(body).flatMap(name => {
    const innerNames = keysOf(Object(body)[name])
    return innerNames.length === 0 ? [name] : innerNames.map(inner => `${name}.${inner}`)
  })
  return names.filter(name => FIELD.test(name)).slice(0, MAX_FIELDS)
}

/** The id of the instance in a reply's body. */
function instanceIdOf(body: unknown): string | undefined {
  const { instance } = Object(body)
  const id: unknown = Object(instance).id
  return typeof id === 'string' ? id : undefined
}

/** Counts the refusals of each project, and says whether another one in this minute is recorded. */
export function refusalBudget(): (project: string, now: number) => boolean {
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
    return count <= REFUSALS_PER_MINUTE
  }
}

/** A record as the API shows it. */
export const auditView = (record: AuditRecord) => ({
  id: record.id,
  created: timestamp(record.at),
  user_id: record.user,
  project_id: record.project,
  admin: record.admin,
  method: record.method,
  route: record.route ?? null,
  targets: record.targets,
  fields: record.fields ?? [],
  instance_id: record.instance ?? null,
  status: record.status ?? null,
  request_id: record.requestId,
  remote_address: record.remote,
})
