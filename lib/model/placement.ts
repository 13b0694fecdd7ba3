import { unprocessable } from '../kit/errors.ts'
import type { Indexed, Stored } from '../kit/records.ts'
import type { Platform } from '../platform/platform.ts'
import type { Change, Store } from '../ports/store.ts'
import { HOSTS_PROJECT, type Host, hosts, hostUse, MAX_HOSTS } from './host.ts'
import type { Instance } from './instance.ts'
import { memoryChanges } from './quota.ts'

/** Whether instances may be placed on it. */
const acceptsInstances = ({ state, silentSince }: Host): boolean => state === 'active' && silentSince === undefined

/** Every host that is not removed, in the order of ids. */
export async function allHosts(store: Store): Promise<Stored<Host>[]> {
  const items = await hosts.list(store, HOSTS_PROJECT, { limit: MAX_HOSTS })
  return items.filter(({ body }) => body.state !== 'removed')
}

/** The memory in use, in MB, by host. A host that never had an instance is missing. */
export async function memoryInUse(store: Store): Promise<Map<string, number>> {
  const items = await hostUse.list(store, HOSTS_PROJECT, { limit: MAX_HOSTS })
  return new Map(items.map(({ key, body }) => [key.id.slice('host-use#'.length), body.ramMb ?? 0]))
}

/** What an instance needs of a host. */
interface Need {
  ramMb: number
  datastore: { manager: string; version: string }
}

/** Where an instance is placed: nowhere in particular, if compute has no hosts. */
interface Placement {
  fields: Pick<Instance, 'host'>
  /** The indexed fields of the instance's record. */
  indexed: Pick<Indexed, 'subject'>
  /** They take the host's memory. They conflict if others have taken it, or if the host has changed since it was read. */
  changes: Change[]
}

/**
 * The host for a new instance: of those that accept instances and have the engine, the one with the most free memory.
 * Throws 422 if none fits.
 */
export async function chooseHost(
  { store, compute }: Pick<Platform, 'store' | 'compute'>,
  { ramMb, datastore: { manager, version } }: Need,
): Promise<Placement> {
  if (compute.defaultHost === undefined) return { fields: {}, indexed: {}, changes: [] }
  const withEngine = (await allHosts(store)).filter(({ body }) => body.engines[manager]?.includes(version))
  if (withEngine.length === 0) throw unprocessable(`No host has ${manager} ${version}.`)
  const inUse = await memoryInUse(store)
  const [best, second] = withEngine
    .filter(({ body }) => acceptsInstances(body))
    .map(item => ({ item, freeMb: item.body.ramMb - (inUse.get(item.body.id) ?? 0) }))
    .sort((a, b) => b.freeMb - a.freeMb)
  if (!best || best.freeMb < ramMb) throw unprocessable('No host has room for an instance of this flavor.')
  const { key, version: was, body } = best.item
  // Creates that read the same must not all go to one host: it may fall behind the second by one instance besides this one.
  const leftMb = Math.max(0, (second?.freeMb ?? 0) - 2 * ramMb)
  return {
    fields: { host: body.id },
    indexed: { subject: { kind: 'host', id: body.id } },
    changes: [...memoryChanges(body.id, ramMb, body.ramMb - leftMb), { op: 'check', key, was }],
  }
}
