import { bells } from '../kit/bells.ts'
import { authority } from '../kit/ca.ts'
import type { Log } from '../kit/clock.ts'
import type { Keys } from '../kit/keys.ts'
import { derivedEnd, sealer } from '../kit/seal.ts'
import { vault } from '../kit/vault.ts'
import { hostCompute } from '../platform/compute/host.ts'
import { builtinIdentity } from '../platform/identity/builtin.ts'
import type { Queue } from '../platform/queue/queue.ts'
import type { Secrets } from '../platform/secrets/secrets.ts'
import type { Store } from '../platform/store/store.ts'
import { systemClock as clock, systemRandom as random } from './system.ts'

interface Backends<S extends Store, Q extends Queue> {
  store: S
  queue: Q
  secrets: Secrets
  keys: Keys
  hostId: string
  log: Log
}

/** What every way to run has in common of a platform, made from its backends. */
export function common<S extends Store, Q extends Queue>({ store, queue, secrets, keys, hostId, log }: Backends<S, Q>) {
  const seals = sealer(derivedEnd(keys))
  const identity = builtinIdentity({ store, secrets, clock, random })
  return {
    store,
    queue,
    compute: hostCompute({ hostId, queue, store, sealer: seals, clock, random }),
    identity,
    identityService: identity,
    keys,
    sealer: seals,
    vault: vault(keys),
    bells: bells(clock),
    clock,
    random,
    log,
    authority: authority({ keys, store, clock, random }),
  }
}
