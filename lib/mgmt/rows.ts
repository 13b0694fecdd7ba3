import { ALL_PROJECTS, type DeletedInstance, deletedInstances } from '../model/deleted-instance.ts'
import { type Instance, instances, projectIndex } from '../model/instance.ts'
import type { Store } from '../ports/store.ts'

/** An existing or a deleted instance. */
export type AnyInstance = Instance & Partial<Pick<DeletedInstance, 'deleted' | 'root'>>

/** Which instances to list. `deleted` undefined: existing and deleted ones. */
export interface ListOptions {
  project: string | undefined
  deleted: boolean | undefined
  after: string | undefined
  limit: number
}

/** A page of ids in order. `row` is missing if the instance was deleted since, or is filtered out. */
type Source = (range: { after?: string; limit: number }) => Promise<{ id: string; row: AnyInstance | undefined }[]>

/** Page size for deleted instances of one project: they are filtered from those of all projects. */
const SCAN_BATCH = 200

/** Instances of all projects, or of one, in the order of their ids. */
export async function listAnyInstances(
  store: Store,
  { project, deleted, after, limit }: ListOptions,
): Promise<AnyInstance[]> {
  const live = project === undefined ? liveOfAll(store) : liveOf(store, project)
  const existing = deleted === true ? [] : await take(live, after, limit, limit)
  const deletedPage = project === undefined ? limit : SCAN_BATCH
  const removed = deleted === false ? [] : await take(deletedOf(store, project), after, limit, deletedPage)
  // An instance deleted between the two reads is in both lists.
  const byId = new Map([...existing, ...removed].map(row => [row.id, row]))
  return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit)
}

/** The project index is the only list of all projects that every store returns in the order of ids. */
function liveOfAll(store: Store): Source {
  return async ({ after, limit }) => {
    const entries = await projectIndex.list(store, ALL_PROJECTS, range('id', after, limit))
    return Promise.all(
      entries.map(async ({ key, body }) => {
        const id = key.id.slice('id#'.length)
        return { id, row: (await instances.get(store, body.project, id))?.body }
      }),
    )
  }
}

function liveOf(store: Store, project: string): Source {
  return async ({ after, limit }) => {
    const items = await instances.list(store, project, range('instance', after, limit))
    return items.map(({ body }) => ({ id: body.id, row: body }))
  }
}

function deletedOf(store: Store, project: string | undefined): Source {
  return async ({ after, limit }) => {
    const items = await deletedInstances.list(store, ALL_PROJECTS, range('tombstone', after, limit))
    return items.map(({ body }) => ({
      id: body.id,
      row: project === undefined || body.project === project ? body : undefined,
    }))
  }
}

const range = (kind: string, after: string | undefined, limit: number) => ({
  limit,
  ...(after !== undefined && { after: `${kind}#${after}` }),
})

/** The first `count` rows after an id, read in pages of `page`. */
async function take(source: Source, after: string | undefined, count: number, page: number): Promise<AnyInstance[]> {
  const rows: AnyInstance[] = []
  for (let from = after; rows.length < count; ) {
    const batch = await source({ limit: page, ...(from !== undefined && { after: from }) })
    for (const { row } of batch) if (row) rows.push(row)
    if (batch.length < page) break
    from = batch.at(-1)?.id
  }
  return rows.slice(0, count)
}
