import { badRequest, truncate } from '../../kit/errors.ts'
import { pageBody, parsePageQuery } from '../../kit/http/paging.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import { parseInstant } from '../../kit/time.ts'
import { UUID } from '../../kit/uuid.ts'
import type { Platform } from '../../platform/platform.ts'
import { auditView } from '../audit.ts'
import { searchAudit } from '../search.ts'

type ApiCall = Call<unknown, Platform>

/** `GET /audit`: the records of the caller's project, newest first. */
export const listAudit = (call: ApiCall): Promise<Reply> => list(call, call.project, '/audit')

/** `GET /mgmt/audit`: the records of all projects, one project after the other, or of one. */
export const listAllAudit = (call: ApiCall): Promise<Reply> => list(call, call.query['project_id'], '/mgmt/audit')

async function list(call: ApiCall, project: string | undefined, path: string): Promise<Reply> {
  const { query, baseUrl } = call
  const { limit, marker } = parsePageQuery(query)
  const since = parseSince(query['since'])
  const instance = query['instance_id']
  if (instance !== undefined && !UUID.test(instance)) {
    throw badRequest(`instance_id must be a UUID, not '${truncate(instance)}'.`)
  }
  const { records, next } = await searchAudit(call.deps, { project, instance, since }, marker, limit)
  const url = `${baseUrl}/v1.0/${call.project}${path}`
  const nextPage = next === undefined ? undefined : { url, query, limit, marker: next }
  return { status: 200, body: pageBody('audit', records.map(auditView), nextPage) }
}

/** Milliseconds since the epoch; 0 without a text. Without a zone it is UTC. Throws 400 if it is not ISO 8601. */
function parseSince(text: string | undefined): number {
  if (text === undefined) return 0
  const form = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?$/.exec(text)
  const zoned = form?.[1] !== undefined && form[4] === undefined ? `${text}Z` : text
  const since = form ? parseInstant(zoned) : Number.NaN
  if (Number.isNaN(since)) {
    throw badRequest(`since must be a time such as 2026-01-31T12:00:00, not '${truncate(text)}'.`)
  }
  return since
}
