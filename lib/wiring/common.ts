import { inProcessSignals } from '../kit/async/signals.ts'
import type { Log } from '../kit/clock.ts'
import type { Keys } from '../kit/crypto/keys.ts'
import { derivedSealKeys, sealer } from '../kit/crypto/seal.ts'
import { vault } from '../kit/crypto/vault.ts'
import { authority } from '../kit/tls/ca.ts'
import { hostCompute } from '../platform/compute/host/compute.ts'
import { builtinIdentity } from '../platform/identity/builtin/identity.ts'
import type { Queue } from '../ports/queue.ts'
import type { Secrets } from '../ports/secrets.ts'
import type { Store } from '../ports/store.ts'
import { systemClock as clock, systemRandom as random } from './system.ts'

interface Backends<S extends Store, Q extends Queue> {
  store: S
  queue: Q
  secrets: Secrets
  keys: Keys
  hostId: string
  log: Log
}

/** The parts of a platform that do not depend on where it runs, built from its backends. */
export function sharedParts<S extends Store, Q extends Queue>({
  store,
  queue,
  secrets,
  keys,
  hostId,
  log,
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
  }
}
