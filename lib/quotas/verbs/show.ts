import { forbidden } from '../../kit/errors.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import { loadLimits, quotaUsage, RESOURCES } from '../../model/quota.ts'
import type { Platform } from '../../platform/platform.ts'
import { projectInPath } from '../project.ts'

/** `GET /mgmt/quotas/{project}`: for admins, and for members of the project. */
export async function showQuotas(call: Call<unknown, Platform>): Promise<Reply> {
  if (!call.admin && call.params['project'] !== call.project) {
    throw forbidden("Policy does not allow another project's quota to be shown.")
  }
  const { store } = call.deps
  const project = projectInPath(call)
  const { limits } = await loadLimits(store, project)
  const rows = RESOURCES.map(async resource => {
    const used = (await quotaUsage.get(store, project, resource))?.body.used ?? 0
    // Always 0: whatever is reserved counts as in use immediately.
    return { resource, in_use: used, reserved: 0, limit: limits[resource] }
  })
  return { status: 200, body: { quotas: await Promise.all(rows) } }
}
