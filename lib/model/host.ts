import { recordType, type Stored } from '../kit/records.ts'
import type { Store, Subject } from '../ports/store.ts'
import { type Instance, instances } from './instance.ts'

/** A host: a machine whose daemon runs instances. Times are in milliseconds since the epoch. */
export interface Host {
  id: string
  /** `draining`: it gets no more instances. `removed`: what it reports is ignored until it is started again. */
  state: 'active' | 'draining' | 'removed'
  ramMb: number
  /** The names of engines' versions by datastore manager. */
  engines: Record<string, string[]>
  network: string
  version: string
  /** The master key of its daemon's keys, as it reported last; earlier versions did not record it. */
  kid?: string
  lastReport: number
  /** The number of its last report. */
  sequence?: number
  /** How long a report is valid; missing if no further one is awaited. */
  leaseMs?: number
  /** Its last report before it fell silent. Stays until its instances show their own states again. */
  silentSince?: number
}

/** Hosts by their ids. They belong to no project. */
export const hosts = recordType<Host>('host')
/** How much of each host's memory its instances have. */
export const hostUse = recordType<{ ramMb?: number }>('host-use')
export const HOSTS_PROJECT = '*'
/** One query reads them all. */
export const MAX_HOSTS = 1_000

/** What a host may be called: its id is part of its topic. */
export const HOST_ID = /^[a-z0-9-]{1,40}$/

/** A host as the subject of the instances that are on it. */
export const hostRef = (id: string): Subject => ({ kind: 'host', id })

/** Whether the host was removed, with all that was on it. */
export async function isHostRemoved(store: Store, id: string): Promise<boolean> {
  return (await hosts.get(store, HOSTS_PROJECT, id))?.body.state === 'removed'
}

/** Every instance on a host, read in pages. */
export async function* instancesOn(store: Store, host: string): AsyncGenerator<Stored<Instance>> {
  let after: string | undefined
  do {
    const range = { limit: 100, ...(after !== undefined && { after }) }
    const page: Stored<Instance>[] = await instances.ofSubject(store, hostRef(host), range)
    yield* page
    after = page.length < range.limit ? undefined : page.at(-1)?.key.id
  } while (after !== undefined)
}
