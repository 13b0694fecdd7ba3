import { type Entry, projectRoutes, publicRoutes } from './route-table.ts'

/** Routes of Trove's reference that Coffer serves, by audience. Copied by hand, so that a lost route is noticed. */
const SERVED: Record<Entry['audience'], string[]> = {
  anyone: ['GET /', 'GET /v1.0'],
  member: [
    'GET /instances',
    'GET /instances/detail',
    'POST /instances',
    'GET /instances/{id}',
    'PUT /instances/{id}',
    'PATCH /instances/{id}',
    'DELETE /instances/{id}',
    'GET /instances/{id}/configuration',
    'POST /instances/{id}/action',
    'GET /instances/{id}/ssl',
    'POST /instances/{id}/ssl',
    'GET /instances/{id}/databases',
    'POST /instances/{id}/databases',
    'GET /instances/{id}/databases/{name}',
    'DELETE /instances/{id}/databases/{name}',
    'GET /instances/{id}/users',
    'POST /instances/{id}/users',
    'PUT /instances/{id}/users',
    'GET /instances/{id}/users/{user}',
    'PUT /instances/{id}/users/{user}',
    'DELETE /instances/{id}/users/{user}',
    'GET /instances/{id}/users/{user}/databases',
    'PUT /instances/{id}/users/{user}/databases',
    'DELETE /instances/{id}/users/{user}/databases/{db}',
    'GET /instances/{id}/root',
    'POST /instances/{id}/root',
    'DELETE /instances/{id}/root',
    'GET /datastores',
    'GET /datastores/{datastore}',
    'GET /datastores/{datastore}/versions',
    'GET /datastores/{datastore}/versions/{version}',
    'GET /datastores/versions/{version}',
    'GET /datastores/{datastore}/versions/{version}/flavors',
    'GET /datastores/{datastore}/versions/{version}/volume-types',
    'GET /flavors',
    'GET /flavors/{id}',
    'GET /limits',
    // A member may read the quotas of the member's project only.
    'GET /mgmt/quotas/{project}',
    // Additions of Coffer: the operations of an instance.
    'GET /instances/{id}/operations',
    'GET /instances/{id}/operations/{operation}',
    'POST /instances/{id}/operations/{operation}/action',
  ],
  admin: [
    'GET /mgmt/instances',
    'GET /mgmt/instances/{id}',
    'POST /mgmt/instances/{id}/action',
    'GET /mgmt/instances/{id}/root',
    'GET /mgmt/instances/{id}/hwinfo',
    'GET /mgmt/instances/{id}/diagnostics',
    'GET /mgmt/instances/{id}/rpc_ping',
    'PUT /mgmt/quotas/{project}',
    'DELETE /datastores/{datastore}',
    'GET /mgmt/datastore-versions',
    'POST /mgmt/datastore-versions',
    'GET /mgmt/datastore-versions/{id}',
    'PATCH /mgmt/datastore-versions/{id}',
    'DELETE /mgmt/datastore-versions/{id}',
  ],
}

/** Routes of the same parts of the reference that Coffer does not serve, by reason. */
const NOT_SERVED: Record<string, string[]> = {
  'there are no backups yet': ['GET /instances/{id}/backups'],
  'there are no logs yet': ['GET /instances/{id}/log', 'POST /instances/{id}/log'],
  'there are no modules yet': [
    'GET /instances/{id}/modules',
    'POST /instances/{id}/modules',
    'DELETE /instances/{id}/modules/{module}',
  ],
  'there are no clusters yet': ['GET /clusters/{id}/root', 'POST /clusters/{id}/root', 'DELETE /clusters/{id}/root'],
  'there are no configurations yet, whose parameters these are': [
    'GET /datastores/{datastore}/versions/{version}/parameters',
    'GET /datastores/{datastore}/versions/{version}/parameters/{name}',
    'GET /datastores/versions/{version}/parameters',
    'GET /datastores/versions/{version}/parameters/{name}',
    'GET /mgmt/datastores/versions/{version}/parameters',
    'POST /mgmt/datastores/versions/{version}/parameters',
    'GET /mgmt/datastores/versions/{version}/parameters/{name}',
    'PUT /mgmt/datastores/versions/{version}/parameters/{name}',
    'DELETE /mgmt/datastores/versions/{version}/parameters/{name}',
  ],
  'it has always answered 500 in Trove': ['POST /mgmt/instances/{id}/upgrade'],
}

/** A route without the names of its variables and without a trailing slash. */
const routeShape = (route: string) => route.replaceAll(/\{\w+\}/g, '{}').replace(/(?<=\w)\/$/, '')

const ours = new Map(
  [...publicRoutes, ...projectRoutes].map(({ method, path, audience }) => [routeShape(`${method} ${path}`), audience]),
)

/** Routes of the reference that are missing from the table, or there for another audience; should be empty. */
export const missingRoutes = () =>
  Object.entries(SERVED).flatMap(([audience, routes]) =>
    routes.filter(route => ours.get(routeShape(route)) !== audience).map(route => `${audience}: ${route}`),
  )

/** Routes with a reason for their absence that are served all the same; should be empty. */
export const servedAlthoughExcused = () =>
  Object.entries(NOT_SERVED).flatMap(([why, routes]) =>
    routes.filter(route => ours.has(routeShape(route))).map(route => `${why}: ${route}`),
  )
