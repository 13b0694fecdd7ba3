import { paged, pageOf } from '../kit/http/paging.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { findInstance, instances } from './instance.ts'
import { detail, summary } from './view.ts'

type Show = typeof summary

/** `GET /instances/{id}`. */
export async function showInstance(call: Call<unknown, Platform>): Promise<Reply> {
  const item = await findInstance(call.deps, call, call.params['id'] ?? '')
  return { status: 200, body: { instance: detail(item.body, { ...call, now: call.deps.clock.now() }) } }
}

/** `GET /instances` and `/instances/detail`: rows are cut by id, then a page is sorted by its creation, newest first. */
export const listInstances =
  (show: Show) =>
  async (call: Call<unknown, Platform>): Promise<Reply> => {
    const { deps, project, base, query } = call
    const { limit, marker } = pageOf(query)
    const after = marker === undefined ? {} : { after: `instance#${marker}` }
    const rows = await instances.list(deps.store, project, { ...after, limit: limit + 1 })
    const page = rows.slice(0, limit).map(({ body }) => body)
    const last = rows.length > limit ? page.at(-1)?.id : undefined
    const viewer = { ...call, now: deps.clock.now() }
    const shown = page.sort((a, b) => b.created - a.created).map(instance => show(instance, viewer))
    const url = `${base}/v1.0/${project}/instances${show === summary ? '' : '/detail'}`
    return {
      status: 200,
      body: paged('instances', shown, last === undefined ? undefined : { url, query, limit, marker: last }),
    }
  }
