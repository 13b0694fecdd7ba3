import { z } from 'zod'
import { command, query } from '../../kit/rpc/contract.ts'
import { DatabaseSpec } from './databases.ts'
import { NoResult } from './shared.ts'
import { UserSpec } from './users.ts'

/** The hardware of the machine. `mem_total` is in kB. */
export const HardwareInfo = z.object({ mem_total: z.number(), num_cpus: z.int() })
/** Statistics of the database server's process. Sizes are in kB. */
export const Diagnostics = z.object({
  version: z.string(),
  threads: z.int(),
  fdSize: z.int(),
  vmSize: z.int(),
  vmPeak: z.int(),
  vmRss: z.int(),
  vmHwm: z.int(),
})

/** Methods of every datastore. */
export const coreMethods = {
  rpc_ping: query(z.object({}), z.literal(true)),
  prepare: command(
    z.object({
      databases: z.array(DatabaseSpec),
      users: z.array(UserSpec),
      datastore_version: z.string(),
      allowed_cidrs: z.array(z.string()).optional(),
    }),
    NoResult,
  ),
  /** Restarts the database server. */
  restart: command(z.object({}), NoResult),
  /** Stops the database server until it is restarted, or its machine is rebooted. */
  stop_db: command(z.object({}), NoResult),
  /** Applies the current memory and processors of the machine, and restarts. */
  start_db_with_conf_changes: command(z.object({}), NoResult),
  /** Switches to the engine that the machine has now, and restarts. */
  upgrade: command(z.object({ datastore_version: z.string() }), NoResult),
  /** The first command on a new server with the volume of an older one: starts the database that is on it. */
  rebuild: command(z.object({ datastore_version: z.string() }), NoResult),
  get_hwinfo: query(z.object({}), HardwareInfo),
  get_diagnostics: query(z.object({}), Diagnostics),
}
