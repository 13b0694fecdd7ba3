import type { Datastores } from '../../lib/datastores/manifest.ts'
import type { Clock } from '../../lib/kit/clock.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import type { EmbeddedQueue } from '../../lib/platform/queue/embedded/queue.ts'
import type { Compute } from '../../lib/ports/compute.ts'
import type { Store } from '../../lib/ports/store.ts'

export type WorldStore = Store & { sweepExpired(now: number, limit: number): number }

/** How a simulated world differs from the usual one. */
export interface WorldOptions {
  /** Other datastores than `SIM_DATASTORES`. */
  datastores?: Datastores
  delaysDoorbells?: boolean
  /** Whether `periodic` runs; false is as between two of its runs on AWS. */
  periodic?: boolean
  /** The API and the conductor run in separate processes, so that answers go through the store. */
  separateProcesses?: boolean
  /** Other backends than the usual ones, for example ones that count. */
  store?: (clock: Clock) => WorldStore
  queue?: (inner: EmbeddedQueue) => EmbeddedQueue
  /** Hosts that say every 5 s that they are alive. By default there is one with plenty of memory, which is never silent. */
  hosts?: { id: string; ramMb: number }[]
  /** Agents have the keys that they enrolled for, as real ones; by default they have all. */
  agentsEnrol?: boolean
  /** Creates the machines; by default the simulated machine does. */
  compute?: (parts: Pick<Platform, 'store' | 'clock'>) => Compute
}
