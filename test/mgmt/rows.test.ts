import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type AnyInstance, type ListOptions, listAnyInstances } from '../../lib/mgmt/rows.ts'
import { ALL_PROJECTS, deletedInstances } from '../../lib/model/deleted-instance.ts'
import { type Instance, instances, projectIndex } from '../../lib/model/instance.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite/store.ts'
import type { Store } from '../../lib/ports/store.ts'
import { virtualClock } from '../kit/virtual-clock.ts'

const instance = (id: string, project: string): Instance => ({
  id,
  project,
  name: id,
  created: 0,
  updated: 0,
  generation: 1,
  flavor: '1',
  volume: { sizeGb: 1 },
  datastore: { type: 'd', manager: 'm', versionId: 'v', versionName: '1', version: '1' },
})

interface Entry {
  id: string
  project: string
  /** `index only`: the instance was deleted between the reads of the project index and of its record. */
  state: 'existing' | 'deleted' | 'index only'
}

async function storeWith(entries: Entry[]): Promise<Store> {
  const store = sqliteStore(':memory:', { clock: virtualClock() })
  for (const { id, project, state } of entries) {
    const body = instance(id, project)
    const key = deletedInstances.key(ALL_PROJECTS, id)
    const indexEntry = projectIndex.create('*', id, { project })
    if (state === 'existing') await store.transact([instances.create(project, id, body), indexEntry])
    if (state === 'deleted') await store.transact([{ op: 'put', key, body: { ...body, deleted: 1 } }])
    if (state === 'index only') await store.transact([indexEntry])
  }
  return store
}

/** All pages, each requested with the last id of the one before as its marker, as clients do. */
async function readPages(
  store: Store,
  filter: Pick<ListOptions, 'project' | 'deleted'>,
  size: number,
): Promise<AnyInstance[][]> {
  const all: AnyInstance[][] = []
  for (let after: string | undefined; ; ) {
    const rows = await listAnyInstances(store, { ...filter, after, limit: size + 1 })
    all.push(rows.slice(0, size))
    if (rows.length <= size) return all
    after = rows[size - 1]?.id
  }
}

describe('listAnyInstances', () => {
  const entry = fc.record({
    id: fc.stringMatching(/^[0-9a-f]{4}$/),
    project: fc.constantFrom('a', 'b', 'c'),
    state: fc.constantFrom('existing' as const, 'deleted' as const, 'index only' as const),
  })
  const entryList = fc.uniqueArray(entry, { selector: ({ id }) => id, maxLength: 30 })

  it('returns each instance that matches the filter on one page, in the order of ids', async () => {
    await fc.assert(
      fc.asyncProperty(
        entryList,
        fc.integer({ min: 1, max: 7 }),
        fc.constantFrom(undefined, 'a', 'b'),
        fc.constantFrom(undefined, true, false),
        async (entries, size, project, deleted) => {
          const store = await storeWith(entries)
          const pages = await readPages(store, { project, deleted }, size)
          const expected = entries
            .filter(({ state }) => state !== 'index only')
            .filter(row => project === undefined || row.project === project)
            .filter(({ state }) => deleted === undefined || (state === 'deleted') === deleted)
            .map(({ id }) => id)
            .sort()
          expect(pages.flat().map(({ id }) => id)).toEqual(expected)
          for (const page of pages.slice(0, -1)) expect(page).toHaveLength(size)
          await store.close()
        },
      ),
      { numRuns: 60 },
    )
  })

  it('returns an instance that is deleted during the reads only once', async () => {
    const store = await storeWith([{ id: 'aa', project: 'a', state: 'existing' }])
    await store.transact([
      { op: 'put', key: deletedInstances.key(ALL_PROJECTS, 'aa'), body: { ...instance('aa', 'a'), deleted: 5 } },
    ])
    const rows = await listAnyInstances(store, { project: undefined, deleted: undefined, after: undefined, limit: 5 })
    expect(rows.map(({ id, deleted }) => [id, deleted])).toEqual([['aa', 5]])
  })
})
