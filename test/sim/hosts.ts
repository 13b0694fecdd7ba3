import { registerHost } from '../../lib/conductor/hosts.ts'
import type { HostReport } from '../../lib/contracts/conductor.ts'
import type { Datastores } from '../../lib/datastores/manifest.ts'
import { HOSTS_PROJECT, type Host, hosts } from '../../lib/model/host.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { HOST_ID } from './names.ts'

/** A host with room for whatever a test creates. */
const PLENTY_MB = 1_000_000_000

/** What a simulated host, which has every engine, says that it has. */
export function hostReport({ manifests }: Datastores, ramMb: number): HostReport {
  const engines = Object.values(manifests).map(({ manager, versions }) => [manager, versions.map(({ name }) => name)])
  return { ram_mb: ramMb, engines: Object.fromEntries(engines), network: '127.1', version: 'sim', lease_ms: 20_000 }
}

/** Records a host of which no reports are awaited. */
export async function addHost(
  { store, datastores }: Pick<Platform, 'store' | 'datastores'>,
  id: string,
  ramMb = PLENTY_MB,
): Promise<void> {
  const { engines, network, version } = hostReport(datastores, ramMb)
  const host: Host = { id, state: 'active', ramMb, engines, network, version, lastReport: 0 }
  await store.transact([hosts.create(HOSTS_PROJECT, id, host)])
}

/** Records these hosts as if they had just started; by default one of which no reports are awaited. */
export async function recordHosts(platform: Platform, list?: { id: string; ramMb: number }[]): Promise<void> {
  if (!list) return addHost(platform, HOST_ID)
  for (const { id, ramMb } of list) await registerHost(platform, id, hostReport(platform.datastores, ramMb))
}
