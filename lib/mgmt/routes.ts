import { guestClient } from '../guests/guest.ts'
import { findInstance } from '../instances/instance.ts'
import { EVERY_PROJECT, tombstones } from '../instances/tombstone.ts'
import { detail } from '../instances/view.ts'
import { Fault } from '../kit/errors.ts'
import { flagOf } from '../kit/http/flags.ts'
import { paged, pageOf } from '../kit/http/paging.ts'
import { type Call, NO_CONTENT, ok, type Reply, type Route, route } from '../kit/http/route.ts'
import { UUID } from '../kit/uuid.ts'
import type { Platform } from '../platform/platform.ts'
import { rootHistories } from '../root/root.ts'
import { type Managed, managedRows } from './rows.ts'
import {
  DiagnosticsAnswer,
  HardwareAnswer,
  ManagedAnswer,
  ManagedList,
  ManagedListQuery,
  ManagedQuery,
  RootHistoryAnswer,
} from './schemas.ts'
import { managed, managedDetail, rootHistoryView } from './view.ts'

type Ask = Call<unknown, Platform>

const seenBy = (call: Ask, row: Managed) => detail(row, { ...call, now: call.deps.clock.now() })

/** Rows are cut by id over all projects, then a page is sorted by its creation, newest first. */
async function list(call: Ask): Promise<Reply> {
  const { deps, query, base, project } = call
  const { limit, marker: after } = pageOf(query)
  const wanted = { project: query['project_id'] || undefined, deleted: flagOf(query['deleted']), after }
  const rows = await managedRows(deps.store, { ...wanted, limit: limit + 1 })
  const page = rows.slice(0, limit)
  const marker = rows.length > limit ? page.at(-1)?.id : undefined
  const shown = page.sort((a, b) => b.created - a.created).map(row => managed(row, seenBy(call, row)))
  const more =
    marker === undefined ? undefined : { url: `${base}/v1.0/${project}/mgmt/instances`, query, limit, marker }
  return { status: 200, body: paged('instances', shown, more) }
}

/** The path's instance; with `deleted=true` also one that was deleted lately. Throws 404. */
async function found(call: Ask): Promise<Managed> {
  const id = call.params['id'] ?? ''
  try {
    return (await findInstance(call.deps, call, id)).body
  } catch (error) {
    if (!(error instanceof Fault) || flagOf(call.query['deleted']) !== true || !UUID.test(id)) throw error
    const buried = await tombstones.get(call.deps.store, EVERY_PROJECT, id)
    if (!buried) throw error
    return buried.body
  }
}

const rootOf = async ({ deps }: Ask, row: Managed) =>
  row.root ?? (await rootHistories.get(deps.store, row.project, row.id))?.body

async function show(call: Ask): Promise<Reply> {
  const row = await found(call)
  return { status: 200, body: { instance: managedDetail(row, seenBy(call, row), await rootOf(call, row)) } }
}

async function showRoot(call: Ask): Promise<Reply> {
  const row = await found(call)
  return { status: 200, body: rootHistoryView(row, await rootOf(call, row)) }
}

/** The agent of the path's instance. Throws 404. */
async function agentOf(call: Ask) {
  const { project, id } = (await findInstance(call.deps, call, call.params['id'] ?? '')).body
  return guestClient(call.deps, { project, instance: id, requestId: call.requestId })
}

const PATH = '/mgmt/instances/{id}'
const get = (
  path: string,
  told: Pick<Route<Platform>, 'summary' | 'answers' | 'query'>,
  handle: (call: Ask) => Promise<Reply>,
) => route({ method: 'GET', path, audience: 'admin', suffix: true, ...told }, handle)
const withDeleted = { query: ManagedQuery }

export const routes: Route<Platform>[] = [
  get(
    '/mgmt/instances',
    { summary: 'List the instances of all projects', query: ManagedListQuery, answers: ok(ManagedList) },
    list,
  ),
  get(PATH, { summary: 'Show any instance', answers: ok(ManagedAnswer), ...withDeleted }, show),
  get(
    `${PATH}/root`,
    { summary: 'When root was enabled, and by whom', answers: ok(RootHistoryAnswer), ...withDeleted },
    showRoot,
  ),
  get(`${PATH}/hwinfo`, { summary: "What an instance's machine has", answers: ok(HardwareAnswer) }, async call => ({
    status: 200,
    body: { hwinfo: await (await agentOf(call)).get_hwinfo({}) },
  })),
  get(
    `${PATH}/diagnostics`,
    { summary: "What an instance's database server takes", answers: ok(DiagnosticsAnswer) },
    async call => ({
      status: 200,
      body: { diagnostics: await (await agentOf(call)).get_diagnostics({}) },
    }),
  ),
  get(`${PATH}/rpc_ping`, { summary: 'Whether an agent answers', answers: NO_CONTENT }, async call => {
    await (await agentOf(call)).rpc_ping({})
    return { status: 204 }
  }),
]
