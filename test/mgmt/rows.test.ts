import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type Instance, instances, pointers } from '../../lib/instances/instance.ts'
import { EVERY_PROJECT, tombstones } from '../../lib/instances/tombstone.ts'
import { type Managed, managedRows, type Wanted } from '../../lib/mgmt/rows.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite.ts'
import type { Store } from '../../lib/platform/store/store.ts'
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
  task: 'NONE',
})

interface Made {
  id: string
  project: string
  /** `torn`: the pointer stands, the instance went while the list was read. */
  state: 'there' | 'deleted' | 'torn'
}

async function storeOf(all: Made[]): Promise<Store> {
  const store = sqliteStore(':memory:', { clock: virtualClock() })
  for (const { id, project, state } of all) {
    const one = instance(id, project)
    const grave = { op: 'put' as const, key: tombstones.key(EVERY_PROJECT, id), body: { ...one, deleted: 1 } }
    const pointer = pointers.create('*', id, { project })
    if (state === 'there') await store.transact([instances.create(project, id, one), pointer])
    if (state === 'deleted') await store.transact([grave])
    if (state === 'torn') await store.transact([pointer])
  }
  return store
}

/** Every page, each asked for after the last id of the one before, as clients do. */
async function pages(store: Store, wanted: Pick<Wanted, 'project' | 'deleted'>, size: number): Promise<Managed[][]> {
  const all: Managed[][] = []
  for (let after: string | undefined; ; ) {
    const rows = await managedRows(store, { ...wanted, after, limit: size + 1 })
    all.push(rows.slice(0, size))
    if (rows.length <= size) return all
    after = rows[size - 1]?.id
  }
}

describe('the rows of the management', () => {
  const made = fc.record({
    id: fc.stringMatching(/^[0-9a-f]{4}$/),
    project: fc.constantFrom('a', 'b', 'c'),
    state: fc.constantFrom('there' as const, 'deleted' as const, 'torn' as const),
  })
  const all = fc.uniqueArray(made, { selector: ({ id }) => id, maxLength: 30 })

  it('are each on one page, in the order of ids, over all projects or of one, there or deleted or both', async () => {
    await fc.assert(
      fc.asyncProperty(
        all,
        fc.integer({ min: 1, max: 7 }),
        fc.constantFrom(undefined, 'a', 'b'),
        fc.constantFrom(undefined, true, false),
        async (rows, size, project, deleted) => {
          const store = await storeOf(rows)
          const found = await pages(store, { project, deleted }, size)
          const wanted = rows
            .filter(({ state }) => state !== 'torn')
            .filter(row => project === undefined || row.project === project)
            .filter(({ state }) => deleted === undefined || (state === 'deleted') === deleted)
            .map(({ id }) => id)
            .sort()
          expect(found.flat().map(({ id }) => id)).toEqual(wanted)
          for (const page of found.slice(0, -1)) expect(page).toHaveLength(size)
          await store.close()
        },
      ),
      { numRuns: 60 },
    )
  })

  it('show one that is deleted while it is read only once', async () => {
    const store = await storeOf([{ id: 'aa', project: 'a', state: 'there' }])
    await store.transact([
      { op: 'put', key: tombstones.key(EVERY_PROJECT, 'aa'), body: { ...instance('aa', 'a'), deleted: 5 } },
    ])
    const rows = await managedRows(store, { project: undefined, deleted: undefined, after: undefined, limit: 5 })
    expect(rows.map(({ id, deleted }) => [id, deleted])).toEqual([['aa', 5]])
  })
})
