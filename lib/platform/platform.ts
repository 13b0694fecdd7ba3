import type { IdentityService } from '../identity/account.ts'
import type { Bells } from '../kit/bells.ts'
import type { Authority } from '../kit/ca.ts'
import type { Clock, Log, Random } from '../kit/clock.ts'
import type { Keys } from '../kit/keys.ts'
import type { Metrics } from '../kit/metrics.ts'
import type { Sealer } from '../kit/seal.ts'
import type { Throttle } from '../kit/throttle/throttle.ts'
import type { Vault } from '../kit/vault.ts'
import type { Compute } from './compute/compute.ts'
import type { Identity } from './identity/identity.ts'
import type { Grant, Queue, SqsAccess } from './queue/queue.ts'
import type { Store } from './store/store.ts'

/** How an agent reaches the bus: which backend, where, with what credentials. */
export type QueueAccess = SocketAccess | SqsAccess | RabbitmqAccess

export interface SocketAccess {
  kind: 'socket'
  address: string
  token: string
}

export interface RabbitmqAccess {
  kind: 'rabbitmq'
  url: string
  username: string
  password: string
  ca?: string | undefined
}

/** Everything that differs between ways to run, as the wiring made it; handed to every verb. */
export interface Platform {
  store: Store
  queue: Queue
  compute: Compute
  identity: Identity
  /** The parts of the builtin identity service, where it is served. */
  identityService: IdentityService | undefined
  keys: Keys
  /** The control plane's end of the sealed wires. */
  sealer: Sealer
  vault: Vault
  bells: Bells
  clock: Clock
  random: Random
  log: Log
  /** Names this start of the control plane. */
  boot: string
  isLive(boot: string): boolean
  /** Where agents enrol. */
  enrolUrl(): string
  /** Credentials for the bus, bounded to the grant. */
  access(grant: Grant): Promise<QueueAccess>
  /** Base of every link, or undefined to take the request's own scheme and host. */
  publicUrl: string | undefined
  /** Certifies the TLS keys of instances. */
  authority: Authority
  /** The limit of requests for each project and verb. */
  throttle: Throttle
  /** What happens, counted as it happens. */
  metrics: Metrics
  /** The deployment's name, where there are several. */
  stage?: string
  /** Whether waits are ended by delayed messages: where `periodic` looks but once a minute. */
  delaysDoorbells?: boolean
  /** While a request is handled: the platform as it is, for what has no effect, and whether its changes are only checked. */
  unit?: { direct: Pick<Platform, 'store' | 'queue'>; dry: boolean }
}
