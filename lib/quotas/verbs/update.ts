import { z } from 'zod'
import { badRequest, notFound, truncate } from '../../kit/errors.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { LIMITS_RECORD, type Limits, loadLimits, projectLimits, RESOURCES, type Resource } from '../../model/quota.ts'
import type { Platform } from '../../platform/platform.ts'
import { projectInPath } from '../project.ts'

export const UpdateBody = z
  .object({ quotas: z.record(z.string(), z.unknown().nullable()) })
  .transform(({ quotas }) => quotas)

/** A number or its digits: XML has strings only. */
const Limit = z.union([z.int(), z.string().regex(/^-?[0-9]{1,10}$/)]).transform(Number)
const MAX_LIMIT = 2 ** 31 - 1

/** `PUT /mgmt/quotas/{project}`. A limit below the current usage is accepted: it prevents new reservations. */
export async function updateQuotas(call: Call<z.infer<typeof UpdateBody>, Platform>): Promise<Mutation> {
  const { store } = call.deps
  const project = projectInPath(call)
  const limits = parseLimits(call.body)
  const { record } = await loadLimits(store, project)
  const change = record
    ? projectLimits.replace(record, { ...record.body, ...limits })
    : projectLimits.create(project, LIMITS_RECORD, limits)
  const changes = Object.keys(limits).length > 0 ? [change] : []
  return { reply: { status: 200, body: { quotas: limits } }, changes }
}

/** The requested limits; null keeps the current one. Throws 404 for an unknown resource, 400 for an invalid limit. */
export function parseLimits(quotas: Record<string, unknown>): Partial<Limits> {
  const limits: Partial<Limits> = {}
  for (const [name, value] of Object.entries(quotas)) {
    if (value === null || name === 'xmlns') continue
    if (!isResource(name)) throw notFound(`Quota resource ${truncate(name)} cannot be found.`)
    const limit = Limit.safeParse(value)
    if (!limit.success || limit.data > MAX_LIMIT) throw badRequest(`The limit of ${name} is not a whole number.`)
    if (limit.data < -1) throw badRequest(`Quota limit ${limit.data} of ${name} is too small: -1 means no limit.`)
    limits[name] = limit.data
  }
  return limits
}

const isResource = (name: string): name is Resource => RESOURCES.some(resource => resource === name)
