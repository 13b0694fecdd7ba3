import { z } from 'zod'
import { RESOURCES } from '../model/quota.ts'

const Resource = z.enum(RESOURCES)
const limit = z
  .int()
  .min(-1)
  .max(2 ** 31 - 1)
  .describe('-1 = no limit')

export const QuotaList = z.strictObject({
  quotas: z.array(z.strictObject({ resource: Resource, in_use: z.int(), reserved: z.int(), limit })),
})
/** The limits that were set. */
export const QuotaLimits = z.strictObject({ quotas: z.partialRecord(Resource, limit) })
/** Limits to set; null keeps the current one. */
export const QuotaChange = z.strictObject({ quotas: z.partialRecord(Resource, limit.nullable()) })
