import { notImplemented } from '../kit/errors.ts'
import { ACCEPTED, ok, type Route, route, routeWithBody } from '../kit/http/route.ts'
import { PageQuery } from '../kit/http/schemas.ts'
import type { Platform } from '../platform/platform.ts'
import { DatabasePage } from './schemas.ts'
import { CreateBody, createDatabases } from './verbs/create.ts'
import { deleteDatabase } from './verbs/delete.ts'
import { listDatabases } from './verbs/list.ts'

const EXAMPLE = { databases: [{ name: 'cart' }, { name: 'stock', character_set: 'UTF8' }] }

export const routes: Route<Platform>[] = [
  route(
    {
      method: 'GET',
      path: '/instances/{id}/databases',
      suffix: true,
      summary: 'List databases',
      query: PageQuery,
      response: ok(DatabasePage),
    },
    listDatabases,
  ),
  routeWithBody(
    {
      method: 'POST',
      path: '/instances/{id}/databases',
      suffix: true,
      summary: 'Create databases',
      body: CreateBody,
      response: ACCEPTED,
      example: EXAMPLE,
    },
    createDatabases,
  ),
  route(
    { method: 'DELETE', path: '/instances/{id}/databases/{name}', summary: 'Delete a database', response: ACCEPTED },
    deleteDatabase,
  ),
  route(
    {
      method: 'GET',
      path: '/instances/{id}/databases/{name}',
      summary: 'Not served, as in Trove',
      response: { status: 501 },
    },
    async () => {
      throw notImplemented('Showing a single database is not supported.')
    },
  ),
]
