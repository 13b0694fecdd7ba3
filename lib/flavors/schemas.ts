import { z } from 'zod'
import { Links } from '../kit/http/schemas.ts'

export const FlavorView = z
  .strictObject({
    id: z.int(),
    str_id: z.string().describe('The id as text.'),
    name: z.string(),
    ram: z.int().describe('MB'),
    vcpus: z.int(),
    disk: z.int().describe('GB of the root disk'),
    ephemeral: z.int().describe('GB'),
    links: Links,
  })
  .meta({ id: 'Flavor' })
export const FlavorAnswer = z.strictObject({ flavor: FlavorView })
export const FlavorList = z.strictObject({ flavors: z.array(FlavorView) })
