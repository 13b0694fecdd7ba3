import { type Instance, instances, pointers } from '../instances/instance.ts'
import { EVERY_PROJECT, type Tombstone, tombstones } from '../instances/tombstone.ts'
import type { Store } from '../platform/store/store.ts'

/** An instance, there or deleted. */
export type Managed = Instance & Partial<Pick<Tombstone, 'deleted' | 'root'>>

/** What a listing is asked for: `deleted` undefined = both kinds. */
export interface Wanted {
  project: string | undefined
  deleted: boolean | undefined
  after: string | undefined
  limit: number
}

/** A listing in the order of ids, of which some rows may have gone meanwhile, or not be wanted. */
type Source = (range: { after?: string; limit: number }) => Promise<{ id: string; row: Managed | undefined }[]>

/** Tombstones read at once where only one project's are wanted. */
const SCAN = 200

/** Instances over all projects, or of one, in the order of their ids. */
export async function managedRows(store: Store, { project, deleted, after, limit }: Wanted): Promise<Managed[]> {
  const living = project === undefined ? everyInstance(store) : instancesOf(store, project)
  const there = deleted === true ? [] : await taken(living, after, limit, limit)
  const buried = deleted === false ? [] : await taken(graves(store, project), after, limit, project ? SCAN : limit)
  // One that was deleted between the two readings is in both.
  const byId = new Map([...there, ...buried].map(row => [row.id, row]))
  return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit)
}

/** The pointers are the one index over all projects that is in the order of ids, whatever the store. */
function everyInstance(store: Store): Source {
  return async ({ after, limit }) => {
    const found = await pointers.list(store, EVERY_PROJECT, range('id', after, limit))
    return Promise.all(
      found.map(async ({ key, body }) => {
        const id = key.id.slice('id#'.length)
        return { id, row: (await instances.get(store, body.project, id))?.body }
      }),
    )
  }
}

function instancesOf(store: Store, project: string): Source {
  return async ({ after, limit }) => {
    const found = await instances.list(store, project, range('instance', after, limit))
    return found.map(({ body }) => ({ id: body.id, row: body }))
  }
}

function graves(store: Store, project: string | undefined): Source {
  return async ({ after, limit }) => {
    const found = await tombstones.list(store, EVERY_PROJECT, range('tombstone', after, limit))
    return found.map(({ body }) => ({
      id: body.id,
      row: project === undefined || body.project === project ? body : undefined,
    }))
  }
}

const range = (kind: string, after: string | undefined, limit: number) => ({
  limit,
  ...(after !== undefined && { after: `${kind}#${after}` }),
})

/** The first `count` rows after an id, read in pages. */
async function taken(source: Source, after: string | undefined, count: number, page: number): Promise<Managed[]> {
  const rows: Managed[] = []
  for (let from = after; rows.length < count; ) {
    const found = await source({ limit: page, ...(from !== undefined && { after: from }) })
    for (const { row } of found) if (row) rows.push(row)
    if (found.length < page) break
    from = found.at(-1)?.id
  }
  return rows.slice(0, count)
}
