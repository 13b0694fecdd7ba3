import { z } from 'zod'
import { secret } from '../kit/crypto/secret.ts'
import { cast, contract } from '../kit/rpc/contract.ts'

const PartRef = z.object({
  name: z.string().regex(/^[a-z0-9-]{1,80}$/),
  instance: z.string(),
  project: z.string(),
  generation: z.int(),
})
const Flavor = z.object({ ramMb: z.number(), vcpus: z.number() })
const Datastore = z.object({ manager: z.string(), version: z.string() })

/**
 * Sealed messages to a host daemon, on its own topic. Each may arrive any number of times and in any order. The daemon
 * reports with update_server or update_volume, and never creates a part again that it was told to delete.
 */
export const host = contract('host', {
  create_volume: cast(PartRef.extend({ sizeGb: z.number(), datastore: Datastore })),
  delete_volume: cast(PartRef),
  create_server: cast(
    PartRef.extend({
      volume: z.string(),
      flavor: Flavor,
      datastore: Datastore,
      userData: secret(z.string()),
    }),
  ),
  delete_server: cast(PartRef),
  /** Grows a volume while it is in use. */
  resize_volume: cast(PartRef.extend({ changeId: z.string(), sizeGb: z.number() })),
  /** Changes the flavor or engine of a server. Its agent gets a separate command to apply the change. */
  change_server: cast(
    PartRef.extend({ changeId: z.string(), flavor: Flavor.optional(), datastore: Datastore.optional() }),
  ),
  /** Stops and starts the database and the agent. */
  reboot_server: cast(PartRef.extend({ changeId: z.string() })),
})
export type HostMethods = (typeof host)['methods']

/** The decrypted payload of a message to a host. */
export const HostMessage = z.object({ method: z.string(), input: z.unknown() })
