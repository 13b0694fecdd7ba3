import { z } from 'zod'
import { cast, contract } from '../kit/contract.ts'
import { secret } from '../kit/secret.ts'

const Owned = z.object({
  name: z.string().regex(/^[a-z0-9-]{1,80}$/),
  instance: z.string(),
  project: z.string(),
  generation: z.int(),
})
const Flavor = z.object({ ramMb: z.number(), vcpus: z.number() })
const Datastore = z.object({ manager: z.string(), version: z.string() })

/**
 * To the daemon of a machine that runs instances, on its own queue, sealed. Each may come any number of times and in any
 * order; the daemon answers with update_server or update_volume, and never makes again what it was told to delete.
 */
export const host = contract('host', {
  create_volume: cast(Owned.extend({ sizeGb: z.number(), datastore: Datastore })),
  delete_volume: cast(Owned),
  create_server: cast(
    Owned.extend({
      volume: z.string(),
      flavor: Flavor,
      datastore: Datastore,
      userData: secret(z.string()),
    }),
  ),
  delete_server: cast(Owned),
  /** Volumes grow while they are used. */
  resize_volume: cast(Owned.extend({ wish: z.string(), sizeGb: z.number() })),
  /** What the server is from now on; its agent is told apart to take it on. */
  change_server: cast(Owned.extend({ wish: z.string(), flavor: Flavor.optional(), datastore: Datastore.optional() })),
  /** Database and agent stop, and start again. */
  reboot_server: cast(Owned.extend({ wish: z.string() })),
})
export type HostMethods = (typeof host)['methods']

/** What a message to a host holds once opened. */
export const HostMessage = z.object({ method: z.string(), input: z.unknown() })
