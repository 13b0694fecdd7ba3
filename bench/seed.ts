import { join } from 'node:path'
import { type Instance, instances, pointers } from '../lib/instances/instance.ts'
import { sqliteStore } from '../lib/platform/store/sqlite.ts'
import type { Change } from '../lib/platform/store/store.ts'
import { systemClock, systemRandom } from '../lib/wiring/system.ts'

/** Instances in one transaction: two records each, of the 100 that it may have. */
const AT_ONCE = 50

/** Writes that many ACTIVE instances of a project into the store of a data directory that nobody serves; their ids in order. */
export async function seed(dataDir: string, project: string, count: number): Promise<string[]> {
  const store = sqliteStore(join(dataDir, 'coffer.db'), { clock: systemClock })
  // In order, so that each page is written once.
  const ids = Array.from({ length: count }, () => systemRandom.uuid()).sort()
  for (let from = 0; from < count; from += AT_ONCE) {
    const changes = ids
      .slice(from, from + AT_ONCE)
      .flatMap((id): Change[] => [
        instances.create(project, id, instance(project, id)),
        pointers.create('*', id, { project }),
      ])
    await store.transact(changes)
  }
  await store.close()
  return ids
}

function instance(project: string, id: string): Instance {
  const now = systemClock.now()
  return {
    id,
    project,
    name: 'seeded',
    created: now,
    updated: now,
    generation: 1,
    flavor: '1',
    volume: { sizeGb: 1, used: 40_000_000, generation: 1 },
    datastore: {
      type: 'postgresql',
      manager: 'postgresql',
      versionId: 'seeded',
      versionName: '18',
      version: '18.4',
      engine: '18',
    },
    task: 'NONE',
    server: { status: 'ACTIVE', addresses: [{ address: '127.9.9.9', port: 5432, type: 'private' }] },
    service: { status: 'healthy', at: now, sent: 1 },
  }
}
