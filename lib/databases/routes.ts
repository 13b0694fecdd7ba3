import { z } from 'zod'
import { badRequest, notFound, notImplemented } from '../kit/errors.ts'
import { paged, pageOf } from '../kit/http/paging.ts'
import { assertStorable } from '../kit/http/parse.ts'
import { ACCEPTED, bodied, type Call, ok, type Reply, type Route, route } from '../kit/http/route.ts'
import { PageQuery } from '../kit/http/schemas.ts'
import type { Platform } from '../platform/platform.ts'
import { assertDatabaseName, checkedDatabases, NewDatabases } from '../users/names.ts'
import { changing, serving } from '../users/serving.ts'
import { DatabasePage } from './schemas.ts'

/** Trove's list, or openstacksdk's single one. */
const Body = z
  .union([z.object({ databases: NewDatabases }), z.object({ database: NewDatabases.element })])
  .transform(body => ('databases' in body ? body.databases : [body.database]))

async function list(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent, instance } = await serving(call)
  const { limit, marker } = pageOf(call.query)
  const { items, next } = await agent.list_databases({ limit, ...(marker !== undefined && { marker }) })
  const url = `${call.base}/v1.0/${call.project}/instances/${instance.id}/databases`
  const more = next === undefined ? undefined : { url, query: call.query, limit, marker: next }
  return { status: 200, body: paged('databases', items, more) }
}

async function create(call: Call<z.infer<typeof Body>, Platform>): Promise<Reply> {
  assertStorable(call.body)
  const { agent, manifest, soon } = await changing(call)
  const databases = checkedDatabases(manifest, call.body)
  for (const { name } of databases) {
    if (await soon.hasDatabase(name)) throw badRequest(`Database '${name}' already exists.`)
  }
  if (databases.length > 0) await agent.create_database({ databases })
  return { status: 202 }
}

async function remove(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent, manifest, soon } = await changing(call)
  const name = call.params['name'] ?? ''
  assertDatabaseName(manifest, name)
  if (!(await soon.hasDatabase(name))) throw notFound(`Database ${name} cannot be found on the instance.`)
  await agent.delete_database({ name })
  return { status: 202 }
}

const EXAMPLE = { databases: [{ name: 'cart' }, { name: 'stock', character_set: 'UTF8' }] }

export const routes: Route<Platform>[] = [
  route(
    {
      method: 'GET',
      path: '/instances/{id}/databases',
      suffix: true,
      summary: 'List databases',
      query: PageQuery,
      answers: ok(DatabasePage),
    },
    list,
  ),
  bodied(
    {
      method: 'POST',
      path: '/instances/{id}/databases',
      suffix: true,
      summary: 'Create databases',
      body: Body,
      answers: ACCEPTED,
      example: EXAMPLE,
    },
    create,
  ),
  route(
    { method: 'DELETE', path: '/instances/{id}/databases/{name}', summary: 'Delete a database', answers: ACCEPTED },
    remove,
  ),
  route(
    {
      method: 'GET',
      path: '/instances/{id}/databases/{name}',
      summary: 'Not served, as in Trove',
      answers: { status: 501 },
    },
    async () => {
      throw notImplemented('Showing a single database is not supported.')
    },
  ),
]
