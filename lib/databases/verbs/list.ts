import { openInstance } from '../../agents/open-instance.ts'
import { pageBody, parsePageQuery } from '../../kit/http/paging.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import type { Platform } from '../../platform/platform.ts'

/** `GET …/databases`, in the order of their names. */
export async function listDatabases(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent, instance } = await openInstance(call, 'databases', 'list_databases')
  const { limit, marker } = parsePageQuery(call.query)
  const { items, next } = await agent.list_databases({ limit, ...(marker !== undefined && { marker }) })
  const url = `${call.baseUrl}/v1.0/${call.project}/instances/${instance.id}/databases`
  const nextPage = next === undefined ? undefined : { url, query: call.query, limit, marker: next }
  return { status: 200, body: pageBody('databases', items, nextPage) }
}
