import type { IdentityAudit, IdentityChange } from '../keystone/http.ts'
import { isAdmin } from '../keystone/http.ts'
import { messageOf } from '../kit/errors.ts'
import type { Platform } from '../platform/platform.ts'
import { AUDIT_RETENTION_MS, type AuditRecord, auditId, auditRecords, fieldNames, refusalBudget } from './audit.ts'

/** The audit of the identity service: records like those of the API, of the caller's project. */
export function identityAudit({ store, clock, log }: Pick<Platform, 'store' | 'clock' | 'log'>): IdentityAudit {
  const takeBudget = refusalBudget()
  const record: IdentityAudit['record'] = change => {
    const body = recordOf(change, clock.now())
    const key = auditRecords.key(change.project, body.id)
    return [{ op: 'put', key, body, expires: body.at + AUDIT_RETENTION_MS }]
  }
  return {
    record,
    async recordRefusal(change) {
      if (!takeBudget(change.project, clock.now())) return
      try {
        await store.transact(record(change))
      } catch (error) {
        log.error({ error: messageOf(error) }, 'failed to write the audit record')
      }
    },
  }
}

function recordOf({ caller, project, request, route, targets, status }: IdentityChange, at: number): AuditRecord {
  const { method, requestId, remote, body } = request
  const fields = fieldNames(parse(body))
  return {
    id: auditId(at, requestId),
    at,
    user: caller.user.id,
    project,
    admin: isAdmin(caller),
    method,
    route,
    targets: Object.fromEntries(Object.entries(targets).map(([name, value]) => [name, value.slice(0, 255)])),
    ...(fields.length > 0 && { fields }),
    status,
    requestId,
    remote,
  }
}

function parse(body: string | undefined): unknown {
  try {
    return JSON.parse(body ?? '')
  } catch {
    return undefined
  }
}
