import { detail } from '../../instances/view.ts'
import { pageBody, parsePageQuery } from '../../kit/http/paging.ts'
import { parseBoolean } from '../../kit/http/parse.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import type { Platform } from '../../platform/platform.ts'
import { listAnyInstances } from '../rows.ts'
import { adminSummary } from '../view.ts'

/** `GET /mgmt/instances`. Pages are cut by id over all projects; each is sorted by creation, newest first. */
export async function listAllInstances(call: Call<unknown, Platform>): Promise<Reply> {
  const { deps, query, baseUrl, project } = call
  const { limit, marker: after } = parsePageQuery(query)
  const filter = { project: query['project_id'] || undefined, deleted: parseBoolean(query['deleted']), after }
  const rows = await listAnyInstances(deps.store, { ...filter, limit: limit + 1 })
  const page = rows.slice(0, limit)
  const marker = rows.length > limit ? page.at(-1)?.id : undefined
  const viewer = { ...call, now: deps.clock.now() }
  const views = page.sort((a, b) => b.created - a.created).map(row => adminSummary(row, detail(row, viewer)))
  const url = `${baseUrl}/v1.0/${project}/mgmt/instances`
  const nextPage = marker === undefined ? undefined : { url, query, limit, marker }
  return { status: 200, body: pageBody('instances', views, nextPage) }
}
