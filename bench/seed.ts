import { join } from 'node:path'
import { DEFAULT_MANIFEST } from '../lib/datastores/manifests.ts'
import { type Instance, instances, projectIndex } from '../lib/model/instance.ts'
import { sqliteStore } from '../lib/platform/store/sqlite/store.ts'
import type { Change } from '../lib/ports/store.ts'
import { systemClock, systemRandom } from '../lib/wiring/system.ts'

/** Instances in one transaction, which may have 100 records: each takes two. */
const BATCH_SIZE = 50

/**
 * Writes ACTIVE instances of a project into the store of a data directory that no cloud uses; returns their ids,
 * sorted.
 */
export async function seed(dataDir: string, project: string, count: number): Promise<string[]> {
  const store = sqliteStore(join(dataDir, 'coffer.db'), { clock: systemClock })
  // Sorted, so that SQLite writes each page once.
  const ids = Array.from({ length: count }, () => systemRandom.uuid()).sort()
  for (let from = 0; from < count; from += BATCH_SIZE) {
    const changes = ids
      .slice(from, from + BATCH_SIZE)
      .flatMap((id): Change[] => [
        instances.create(project, id, instance(project, id)),
        projectIndex.create('*', id, { project }),
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
      type: DEFAULT_MANIFEST.name,
      manager: DEFAULT_MANIFEST.manager,
      versionId: 'seeded',
      versionName: DEFAULT_MANIFEST.defaultVersion,
      version: DEFAULT_MANIFEST.versions.at(-1)?.version ?? '',
      engine: DEFAULT_MANIFEST.defaultVersion,
    },
    server: { status: 'ACTIVE', addresses: [{ address: '127.9.9.9', port: DEFAULT_MANIFEST.port, type: 'private' }] },
    agentReport: { status: 'healthy', at: now, sequence: 1 },
  }
}
