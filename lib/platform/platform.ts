import type { QueueAccess } from '../contracts/queue-access.ts'
import type { Datastores } from '../datastores/manifest.ts'
import type { Signals } from '../kit/async/signals.ts'
import type { Clock, Log, Random } from '../kit/clock.ts'
import type { Keys } from '../kit/crypto/keys.ts'
import type { Sealer } from '../kit/crypto/seal.ts'
import type { Vault } from '../kit/crypto/vault.ts'
import type { Metrics } from '../kit/metrics.ts'
import type { Authority } from '../kit/tls/ca.ts'
import type { IdentityService } from '../ports/accounts.ts'
import type { Compute } from '../ports/compute.ts'
import type { Identity } from '../ports/identity.ts'
import type { Grant, Queue } from '../ports/queue.ts'
import type { Store } from '../ports/store.ts'
import type { Throttle } from '../ports/throttle.ts'

/** The backends and services of the control plane, as the wiring assembled them; every operation gets it. */
export interface Platform {
  store: Store
  queue: Queue
  compute: Compute
  identity: Identity
  /** The builtin identity service, if this deployment serves one. */
  identityService: IdentityService | undefined
  keys: Keys
  /** Seals and opens messages as the control plane. */
  sealer: Sealer
  vault: Vault
  signals: Signals
  clock: Clock
  random: Random
  log: Log
  /** Identifies this start of the control plane. */
  processId: string
  isProcessAlive(processId: string): boolean
  /** The URL at which agents enrol. */
  enrolUrl(): string
  /** Credentials for the queue that allow exactly what the grant says. */
  queueCredentials(grant: Grant): Promise<QueueAccess>
  /** The base of every link; undefined = the request's own scheme and host. */
  publicUrl: string | undefined
  /** Issues the certificates of instances. */
  authority: Authority
  /** The rate limit of each project and verb. */
  throttle: Throttle
  metrics: Metrics
  /** The datastores that machines can run. */
  datastores: Datastores
  /** The deployment's name, if there can be several. */
  stage?: string
  /** Whether delayed messages end waits, because `periodic` runs only once a minute. */
  delaysDoorbells?: boolean
}
