import type { Claims } from '../ports/accounts.ts'
import type { Change } from '../ports/store.ts'
import type { IdentityChange, KeystoneCall } from './http.ts'

/** Of whoever belongs to no project. */
const NO_PROJECT = '*'

/** What the audit has to know of a call. `targets`: what it is about besides the variables of its path. */
export async function auditedChange(
  { deps, request, route, params }: KeystoneCall,
  caller: Claims,
  status: number,
  targets: Record<string, string> = {},
): Promise<IdentityChange> {
  // A token without a project belongs to a user who may have one.
  const project =
    caller.project?.id ?? (await deps.identity.accounts.user(caller.user.id))?.defaultProject ?? NO_PROJECT
  return { caller, project, request, route: `/identity${route}`, targets: { ...params, ...targets }, status }
}

/** The changes that record a call which succeeds. */
export async function auditRecords(call: KeystoneCall, caller: Claims, status: number): Promise<Change[]> {
  return call.deps.audit.record(await auditedChange(call, caller, status))
}

/** Records a call that was refused, if it was to change something and the caller is known. */
export async function auditRefusal(call: KeystoneCall, status: number): Promise<void> {
  const { request, caller, deps } = call
  if (!caller || ['GET', 'HEAD'].includes(request.method)) return
  await deps.audit.recordRefusal(await auditedChange(call, caller, status))
}
