import type { Stored } from '../kit/records.ts'
import { instanceSubject } from '../model/instance.ts'
import type { Platform } from '../platform/platform.ts'
import { type AuditRecord, auditRecords } from './audit.ts'

/** Which records to return. Without a project: those of all projects. `since` is in milliseconds since the epoch. */
interface AuditFilter {
  project: string | undefined
  instance: string | undefined
  since: number
}

type Row = Stored<AuditRecord>

/** Pages of records, newest first; over all projects: newest first within each. */
interface Source {
  /** The records after a cursor. */
  page(after: string | undefined, limit: number): Promise<Row[]>
  /** The cursor that continues after this record. */
  cursor(row: Row): string
  /** Whether the newest record of all comes first. */
  sorted: boolean
}

const BATCH = 100
/** How many records one request reads at most. A page that ends there still has a link to the next one. */
const MAX_READ = 2_000

/**
 * A page of the records that match, with the cursor of the next page if there may be one. Cursors are ids of records;
 * over all projects they are `project/id`.
 */
export async function searchAudit(
  platform: Platform,
  filter: AuditFilter,
  marker: string | undefined,
  limit: number,
): Promise<{ records: AuditRecord[]; next?: string }> {
  const { page, cursor, sorted } = sourceOf(platform, filter)
  const { project, since } = filter
  const matches = ({ key, body }: Row) => body.at >= since && (project === undefined || key.project === project)
  const records: AuditRecord[] = []
  let after = marker
  const cutHere = () => ({ records, ...(after !== undefined && { next: after }) })
  for (let read = 0; read < MAX_READ; read += BATCH) {
    const rows = await page(after, BATCH)
    for (const row of rows) {
      // Every record after this one is older still.
      if (sorted && row.body.at < since) return { records }
      if (matches(row)) {
        if (records.length === limit) return cutHere()
        records.push(row.body)
      }
      after = cursor(row)
    }
    if (rows.length < BATCH) return { records }
  }
  return cutHere()
}

function sourceOf({ store }: Platform, { instance, project }: AuditFilter): Source {
  const range = (after: string | undefined, limit: number) => ({
    limit,
    ...(after !== undefined && { after: `audit#${after}` }),
  })
  const byId = { cursor: ({ body }: Row) => body.id, sorted: true }
  if (instance !== undefined) {
    return {
      ...byId,
      page: (after, limit) => auditRecords.ofSubject(store, instanceSubject(instance), range(after, limit)),
    }
  }
  if (project !== undefined) {
    return { ...byId, page: (after, limit) => auditRecords.list(store, project, range(after, limit)) }
  }
  return {
    sorted: false,
    cursor: ({ key }) => `${key.project}/${key.id}`,
    page: async (after, limit) =>
      (await auditRecords.all(store, { limit, ...(after?.includes('/') && { after }) })).items,
  }
}
