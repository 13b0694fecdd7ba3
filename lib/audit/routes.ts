import { ok, type Route, route } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { AuditAllQuery, AuditPage, AuditQuery } from './schemas.ts'
import { listAllAudit, listAudit } from './verbs/list.ts'

export const routes: Route<Platform>[] = [
  route(
    {
      method: 'GET',
      path: '/audit',
      summary: "List the project's audit records",
      query: AuditQuery,
      response: ok(AuditPage),
    },
    listAudit,
  ),
  route(
    {
      method: 'GET',
      path: '/mgmt/audit',
      audience: 'admin',
      summary: 'List the audit records of all projects',
      query: AuditAllQuery,
      response: ok(AuditPage),
    },
    listAllAudit,
  ),
]
