import { linksOf } from '../kit/http/paging.ts'
import type { Flavor } from './flavor.ts'

/** A flavor as the API shows it. */
export const flavorView = (flavor: Flavor, { base, project }: { base: string; project: string }) => ({
  ...flavor,
  str_id: String(flavor.id),
  links: linksOf(base, project, `flavors/${flavor.id}`),
})
