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
    route: z.string().nullable().describe('null for a path that no route matches.'),
    targets: z.record(z.string(), z.string()).describe("The values of the path's variables."),
    fields: z
      .array(z.string())
      .describe('The names of the fields in the body, without values: `restart`, `resize.volume`, `instance.access`.'),
    instance_id: z.string().nullable(),
    status: z.int().nullable().describe('null while the request is handled, or if its outcome was lost.'),
    request_id: z.string(),
    remote_address: z.string(),
  })
  .meta({ id: 'AuditRecord' })
export const AuditPage = pageOfRows('audit', AuditView)
export const AuditQuery = PageQuery.extend({
  since: z.iso
    .datetime({ local: true, offset: true })
    .optional()
    .describe('Only records from this time on; UTC if it has no zone.'),
  instance_id: z.uuid().optional().describe('Only records about this instance.'),
})
export const AuditAllQuery = AuditQuery.extend({
  project_id: z.string().optional().describe('Only records of this project.'),
})
