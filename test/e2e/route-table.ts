import { routes } from '../../functions/api.ts'
import { bodyOf } from './api-helpers.ts'

/** An entry of the table of routes, from which tests are generated. */
export type Entry = (typeof routes)[number]

/** Routes below a project; the others serve anyone, without a token. */
export const projectRoutes = routes.filter(({ audience }) => audience !== 'anyone')
export const publicRoutes = routes.filter(({ audience }) => audience === 'anyone')

/** Routes with their names, for `describe.each`. */
export const withNames = (list: Entry[]) => list.map(entry => [`${entry.method} ${entry.path}`, entry] as const)

/** Routes that need a body and have none in `BODIES`: their tests would be refused for the missing body. */
export const routesWithoutBody = () =>
  withNames(projectRoutes)
    .filter(([, entry]) => entry.body && !entry.optionalBody && bodyOf(entry) === undefined)
    .map(([name]) => name)

/** Values for the variables of a path. */
export interface PathValues {
  instance: string
  project: string
  operation?: string
  /** A version and a datastore that may be deleted. */
  version?: string
  datastore?: string
}

/** The route's path with these values, the database `cart` and the user `ann`. */
export function fillPath({ method, path }: Entry, things: PathValues): string {
  // A POST creates what its path names, so it must not exist yet.
  const user = method === 'POST' ? 'theirs' : 'ann'
  const datastore = method === 'DELETE' ? things.datastore : undefined
  return path
    .replace('/instances/{id}', `/instances/${things.instance}`)
    .replace('/flavors/{id}', '/flavors/1')
    .replace('/datastore-versions/{id}', `/datastore-versions/${things.version ?? '{id}'}`)
    .replace('{operation_id}', things.operation ?? '{operation_id}')
    .replace('{user}', user)
    .replace('{database}', 'cart')
    .replace('{name}', 'cart')
    .replace('{datastore}', datastore ?? 'postgresql')
    .replace('{version}', '18')
    .replace('{host}', 'local')
    .replace('/mgmt/quotas/{project}', `/mgmt/quotas/${things.project}`)
}
