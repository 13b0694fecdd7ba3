import { z } from 'zod'
import { secret } from '../../kit/crypto/secret.ts'
import { command, contract, query } from '../../kit/rpc/contract.ts'
import { DatabaseName, DatabaseSpec } from './databases.ts'
import { SslMode, SslOutcome, SslView } from './tls.ts'
import { UserId, UserSpec, UserView } from './users.ts'

const PageRequest = z.object({
  limit: z.int().min(1),
  marker: z.string().optional(),
  include_marker: z.boolean().optional(),
})
const pageOf = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), next: z.string().optional() })
const NoResult = z.null()

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

/** Sealed messages to the agent of an instance, on its own topic. The names are Trove's. */
export const guest = contract('guest', {
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
  create_database: command(z.object({ databases: z.array(DatabaseSpec) }), NoResult),
  delete_database: command(z.object({ name: z.string() }), NoResult),
  list_databases: query(PageRequest, pageOf(DatabaseName)),
  create_user: command(z.object({ users: z.array(UserSpec) }), NoResult),
  delete_user: command(UserId, NoResult),
  get_user: query(UserId, UserView.nullable()),
  list_users: query(PageRequest, pageOf(UserView)),
  change_passwords: command(z.object({ users: z.array(UserId.extend({ password: secret(z.string()) })) }), NoResult),
  update_attributes: command(
    UserId.extend({
      attributes: z.object({
        name: z.string().optional(),
        password: secret(z.string()).optional(),
        host: z.string().optional(),
      }),
    }),
    NoResult,
  ),
  list_access: query(UserId, z.array(DatabaseName)),
  grant_access: command(UserId.extend({ databases: z.array(z.string()) }), NoResult),
  revoke_access: command(UserId.extend({ database: z.string() }), NoResult),
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
  /** Sets the IPv4 networks from which the database can be reached. An empty list means everywhere. */
  update_access: command(z.object({ allowed_cidrs: z.array(z.string()) }), NoResult),
  /** The API generates the password, so that no secret travels back. */
  enable_root_with_password: command(z.object({ root_password: secret(z.string()) }), NoResult),
  disable_root: command(z.object({}), NoResult),
  is_root_enabled: query(z.object({}), z.boolean()),
  get_hwinfo: query(z.object({}), HardwareInfo),
  get_diagnostics: query(z.object({}), Diagnostics),
  ssl_show: query(z.object({}), SslView),
  /** Turns TLS on, in this mode, or off. */
  ssl_action: command(z.object({ enable: z.boolean(), mode: SslMode.optional() }), SslOutcome),
  /** Reverts the last ssl_action. */
  ssl_rollback: command(z.object({}), SslOutcome),
})
export type GuestMethods = (typeof guest)['methods']

/** The decrypted payload of a message to an agent. */
export const GuestMessage = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('query'), method: z.string(), input: z.unknown(), requestId: z.string() }),
  z.object({
    kind: z.literal('command'),
    number: z.int().min(1),
    method: z.string(),
    input: z.unknown(),
    requestId: z.string(),
    /** The agent counts the command as done without executing it. */
    cancelled: z.boolean().optional(),
  }),
])
export type GuestMessage = z.infer<typeof GuestMessage>

/** The decrypted payload of an agent's answer to a query. */
export const GuestAnswer = z.union([
  z.object({ result: z.unknown() }),
  z.object({ refused: z.object({ code: z.int(), message: z.string() }) }),
  z.object({ failed: z.string() }),
])
export type GuestAnswer = z.infer<typeof GuestAnswer>
