import { CONDUCTOR_TOPIC, hostSubject, hostTopic } from '../contracts/conductor.ts'
import type { HostAccess } from '../contracts/host-access.ts'
import type { QueueAccess } from '../contracts/queue-access.ts'
import type { Datastores } from '../datastores/manifest.ts'
import { MANIFESTS } from '../datastores/manifests.ts'
import { inProcessSignals } from '../kit/async/signals.ts'
import type { Log } from '../kit/clock.ts'
import type { Keys } from '../kit/crypto/keys.ts'
import { derivedSealKeys, machineSealKeys, sealer } from '../kit/crypto/seal.ts'
import { vault } from '../kit/crypto/vault.ts'
import { authority } from '../kit/tls/ca.ts'
import { hostCompute } from '../platform/compute/host/compute.ts'
import { builtinIdentity } from '../platform/identity/builtin/identity.ts'
import type { Queue } from '../ports/queue.ts'
import type { Secrets } from '../ports/secrets.ts'
import type { Store } from '../ports/store.ts'
import { systemClock as clock, systemRandom as random } from './system.ts'

/** The datastores that machines can run. */
export const DATASTORES: Datastores = { manifests: MANIFESTS }

interface Backends<S extends Store, Q extends Queue> {
  store: S
  queue: Q
  secrets: Secrets
  keys: Keys
  hostId: string
  log: Log
  /** Those of the code, unless a test has its own. */
  datastores?: Datastores | undefined
}

/** The parts of a platform that do not depend on where it runs, built from its backends. */
export function sharedParts<S extends Store, Q extends Queue>({
  store,
  queue,
  secrets,
  keys,
  hostId,
  log,
  datastores = DATASTORES,
}: Backends<S, Q>) {
  const messageSealer = sealer(derivedSealKeys(keys))
  const identity = builtinIdentity({ store, secrets, clock, random })
  return {
    store,
    queue,
    compute: hostCompute({ hostId, queue, store, sealer: messageSealer, clock, random }),
    identity,
    identityService: identity,
    keys,
    sealer: messageSealer,
    vault: vault(keys),
    signals: inProcessSignals(clock),
    clock,
    random,
    log,
    authority: authority({ keys, store, clock, random }),
    datastores,
  }
}

/** What a host daemon may receive and send. */
export const hostRights = (hostId: string) => ({ receive: [hostTopic(hostId)], send: [CONDUCTOR_TOPIC] })

/** What a host daemon is given at its start, with the access to the queue that its wiring granted. */
export async function buildHostAccess(keys: Keys, hostId: string, queue: QueueAccess): Promise<HostAccess> {
  const kid = await keys.currentId()
  const sealKeys = await machineSealKeys(keys, kid, hostSubject(hostId), 0)
  return { hostId, topic: hostTopic(hostId), conductor: CONDUCTOR_TOPIC, queue, kid, keys: sealKeys }
}
