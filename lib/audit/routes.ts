import { badRequest, cut } from '../kit/errors.ts'
import { paged, pageOf } from '../kit/http/paging.ts'
import { type Call, ok, type Reply, type Route, route } from '../kit/http/route.ts'
import type { Stored } from '../kit/records.ts'
import { instantOf } from '../kit/time.ts'
import { UUID } from '../kit/uuid.ts'
import type { Platform } from '../platform/platform.ts'
import { type AuditRecord, audits, auditView } from './audit.ts'
import { AuditAllQuery, AuditPage, AuditQuery } from './schemas.ts'

type Row = Stored<AuditRecord>
/** Where rows come from, newest first (over all projects: of each): those after a cursor, and the cursor after a row. */
interface Source {
  page(after: string | undefined, limit: number): Promise<Row[]>
  cursor(row: Row): string
}

const BATCH = 100
/** How many rows one request looks at: a page that is cut short there has a link to the next. */
const MOST_ROWS = 2_000

/** What was done in the caller's project, newest first; for admins what was done by anybody, project by project. */
export const routes: Route<Platform>[] = [
  route(
    {
      method: 'GET',
      path: '/audit',
      summary: 'List what was done in the project',
      query: AuditQuery,
      answers: ok(AuditPage),
    },
    call => list(call, false),
  ),
  route(
    {
      method: 'GET',
      path: '/mgmt/audit',
      audience: 'admin',
      summary: 'List what was done by anybody',
      query: AuditAllQuery,
      answers: ok(AuditPage),
    },
    call => list(call, true),
  ),
]

async function list(call: Call<unknown, Platform>, all: boolean): Promise<Reply> {
  const { query, base, project } = call
  const { limit, marker } = pageOf(query)
  const since = sinceOf(query['since'])
  const instance = query['instance_id']
  if (instance !== undefined && !UUID.test(instance)) throw badRequest(`instance_id is no UUID: '${cut(instance)}'.`)
  const wanted = all ? query['project_id'] : project
  const keep = ({ key, body }: Row) => body.at >= since && (wanted === undefined || key.project === wanted)
  const sorted = wanted !== undefined || instance !== undefined
  const source = sourceOf(call.deps, instance, wanted)
  const { rows, next } = await collected(source, marker, limit, keep, sorted ? since : 0)
  const url = `${base}/v1.0/${project}${all ? '/mgmt' : ''}/audit`
  const more = next === undefined ? undefined : { url, query, limit, marker: next }
  return {
    status: 200,
    body: paged(
      'audit',
      rows.map(({ body }) => auditView(body)),
      more,
    ),
  }
}

/** Milliseconds since the epoch. Throws 400 for what is no time in ISO 8601; without a zone it is UTC. */
function sinceOf(text: string | undefined): number {
  if (text === undefined) return 0
  const form = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?$/.exec(text)
  const zoned = form?.[1] !== undefined && form[4] === undefined ? `${text}Z` : text
  const at = form ? instantOf(zoned) : Number.NaN
  if (Number.isNaN(at)) throw badRequest(`since must be a time such as 2026-01-31T12:00:00, not '${cut(text)}'.`)
  return at
}

/** Cursors are ids of records; over all projects with the project in front. */
function sourceOf({ store }: Platform, instance: string | undefined, project: string | undefined): Source {
  const range = (after: string | undefined, limit: number) => ({
    limit,
    ...(after !== undefined && { after: `audit#${after}` }),
  })
  const cursor = ({ body }: Row) => body.id
  if (instance !== undefined) {
    return { cursor, page: (after, limit) => audits.ofInstance(store, instance, range(after, limit)) }
  }
  if (project !== undefined) return { cursor, page: (after, limit) => audits.list(store, project, range(after, limit)) }
  return {
    cursor: ({ key }) => `${key.project}/${key.id}`,
    page: async (after, limit) => (await audits.all(store, { limit, ...(after?.includes('/') && { after }) })).items,
  }
}

/** A page of the rows to keep, and where the next one begins. Rows come newest first: one older than `oldest` is the end. */
async function collected(
  { page, cursor }: Source,
  marker: string | undefined,
  limit: number,
  keep: (row: Row) => boolean,
  oldest: number,
): Promise<{ rows: Row[]; next?: string }> {
  const rows: Row[] = []
  let after = marker
  for (let seen = 0; seen < MOST_ROWS; seen += BATCH) {
    const found = await page(after, BATCH)
    for (const row of found) {
      if (row.body.at < oldest) return { rows }
      if (keep(row) && rows.length === limit) return { rows, ...(after !== undefined && { next: after }) }
      if (keep(row)) rows.push(row)
      after = cursor(row)
    }
    if (found.length < BATCH) return { rows }
  }
  return { rows, ...(after !== undefined && { next: after }) }
}
