import { openInstance } from '../../agents/open-instance.ts'
import { userId } from '../../contracts/guest/users.ts'
import { pageBody, parsePageQuery } from '../../kit/http/paging.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import { isEnforceableHost } from '../../model/user.ts'
import type { Platform } from '../../platform/platform.ts'

/** `GET …/users`, in the order of their names. */
export async function listUsers(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent, instance, manifest } = await openInstance(call, 'users', 'list_users')
  const { limit, marker } = parsePageQuery(call.query)
  const { items, next } = await agent.list_users({
    limit,
    ...(marker !== undefined && { marker: userId(marker, isEnforceableHost(manifest.can.users)).name }),
  })
  const url = `${call.baseUrl}/v1.0/${call.project}/instances/${instance.id}/users`
  const last = next === undefined ? undefined : items.at(-1)
  const nextPage = last && { url, query: call.query, limit, marker: `${last.name}@${last.host}` }
  return { status: 200, body: pageBody('users', items, nextPage) }
}
