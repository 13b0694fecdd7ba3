import { z } from 'zod'

const Absolute = z.strictObject({
  verb: z.literal('ABSOLUTE'),
  max_instances: z.int(),
  max_ram: z.int().describe('MB; -1 = no limit'),
  max_volumes: z.int().describe('GB'),
  max_backups: z.int(),
})
const Rate = z.strictObject({
  verb: z.enum(['POST', 'PUT', 'DELETE', 'GET']),
  uri: z.string(),
  regex: z.string(),
  value: z.int().describe('Requests per unit.'),
  remaining: z.int(),
  unit: z.literal('MINUTE'),
  nextAvailable: z.iso.datetime(),
})

/** The quota's limits first, then the rate limits. */
export const LimitList = z.strictObject({ limits: z.array(z.union([Absolute, Rate])) })
