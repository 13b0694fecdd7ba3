import { pageBody, parsePageQuery } from '../../kit/http/paging.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import { findInstance, instances } from '../../model/instance.ts'
import type { Platform } from '../../platform/platform.ts'
import { detail, summary } from '../view.ts'

type View = typeof summary

/** `GET /instances/{id}`. */
export async function showInstance(call: Call<unknown, Platform>): Promise<Reply> {
  const item = await findInstance(call.deps, call, call.params['id'] ?? '')
  return { status: 200, body: { instance: detail(item.body, { ...call, now: call.deps.clock.now() }) } }
}

/** `GET /instances` and `/instances/detail`. Pages are cut by id; each page is sorted by creation, newest first. */
export const listInstances =
  (view: View) =>
  async (call: Call<unknown, Platform>): Promise<Reply> => {
    const { deps, project, baseUrl, query } = call
    const { limit, marker } = parsePageQuery(query)
    const after = marker === undefined ? {} : { after: `instance#${marker}` }
    const rows = await instances.list(deps.store, project, { ...after, limit: limit + 1 })
    const page = rows.slice(0, limit).map(({ body }) => body)
    const last = rows.length > limit ? page.at(-1)?.id : undefined
    const viewer = { ...call, now: deps.clock.now() }
    const views = page.sort((a, b) => b.created - a.created).map(instance => view(instance, viewer))
    const url = `${baseUrl}/v1.0/${project}/instances${view === summary ? '' : '/detail'}`
    return {
      status: 200,
      body: pageBody('instances', views, last === undefined ? undefined : { url, query, limit, marker: last }),
    }
  }
