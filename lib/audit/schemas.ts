import { z } from 'zod'
import { PageQuery, pageOfRows, Timestamp } from '../kit/http/schemas.ts'

const AuditView = z
  .strictObject({
    id: z.string(),
    created: Timestamp,
    user_id: z.string(),
    project_id: z.string(),
    admin: z.boolean(),
    method: z.string(),
    route: z.string().nullable().describe('null for a path that is none of ours.'),
    targets: z.record(z.string(), z.string()).describe("The path's variables."),
    fields: z
      .array(z.string())
      .describe('The names of what the body told, no values: `restart`, `resize.volume`, `instance.access`.'),
    instance_id: z.string().nullable(),
    status: z.int().nullable().describe('null while it is carried out, or where its outcome was lost.'),
    request_id: z.string(),
    remote_address: z.string(),
  })
  .meta({ id: 'AuditRecord' })
export const AuditPage = pageOfRows('audit', AuditView)
export const AuditQuery = PageQuery.extend({
  since: z.iso.datetime({ local: true, offset: true }).optional().describe('Nothing before; UTC without a zone.'),
  instance_id: z.uuid().optional().describe('Only what was done with this instance.'),
})
export const AuditAllQuery = AuditQuery.extend({
  project_id: z.string().optional().describe('Only what was done there.'),
})
