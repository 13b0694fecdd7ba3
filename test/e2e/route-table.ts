import { routes } from '../../functions/api.ts'
import { bodyOf } from './api-helpers.ts'

/** The table of routes, as tests that are generated from it need it. */
export type Entry = (typeof routes)[number]

/** What is served below a project; the others are served to anyone. */
export const ofProject = routes.filter(({ audience }) => audience !== 'anyone')
export const ofAnyone = routes.filter(({ audience }) => audience === 'anyone')

/** Routes with their names, for `describe.each`. */
export const named = (list: Entry[]) => list.map(entry => [`${entry.method} ${entry.path}`, entry] as const)

/** Routes that need a body and have none in `BODIES`: a test of them would be refused for its body. */
export const bodiless = () =>
  named(ofProject)
    .filter(([, entry]) => entry.body && !entry.optionalBody && bodyOf(entry) === undefined)
    .map(([name]) => name)

/** What the variables of a path shall stand for. */
export interface Things {
  instance: string
  project: string
  operation?: string
  /** A version and a datastore that may be deleted. */
  version?: string
  datastore?: string
}

/** The route's path with those things in it, and with the database `cart` and the user `ann`. */
export function filled({ method, path }: Entry, things: Things): string {
  // What a path names that shall be made must not be there yet.
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
    .replace('/mgmt/quotas/{project}', `/mgmt/quotas/${things.project}`)
}
