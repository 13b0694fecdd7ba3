import { join } from 'node:path'
import { readProcessStats } from '../../../kit/os/process-stats.ts'
import { type Diagnostics, RejectedByDatastore } from '../../driver.ts'
import { clusterPaths } from '../cluster/cluster.ts'
import { readText } from '../cluster/files.ts'
import type { PostgresqlServer } from './server.ts'

/** Process statistics of the volume's server. Rejected with 422 if none runs, or if this system has none. */
export async function readDiagnostics(volume: string, server: PostgresqlServer): Promise<Diagnostics> {
  const running = await server.findProcess()
  const stats = running && (await readProcessStats(running.pid))
  if (!stats) throw new RejectedByDatastore(422, 'The process of the database server cannot be inspected.')
  const version = (await readText(join(clusterPaths(volume).data, 'PG_VERSION')))?.trim() ?? ''
  return { version, ...stats }
}
