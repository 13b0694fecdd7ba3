import { z } from 'zod'
import { selfLinks } from '../kit/http/paging.ts'
import { Links } from '../kit/http/schemas.ts'
import type { Flavor } from './flavor.ts'

const FlavorView = z
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

/** A flavor as the API shows it. */
export const flavorView = (flavor: Flavor, { baseUrl, project }: { baseUrl: string; project: string }) => ({
  ...flavor,
  str_id: String(flavor.id),
  links: selfLinks(baseUrl, project, `flavors/${flavor.id}`),
})
