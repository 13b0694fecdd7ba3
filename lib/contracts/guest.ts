import { z } from 'zod'
import { DatabaseName, DatabaseSpec } from '../databases/database.ts'
import { command, contract, query } from '../kit/contract.ts'
import { secret } from '../kit/secret.ts'
import { SslMode, SslOutcome, SslView } from '../ssl/ssl.ts'
import { UserId, UserSpec, UserView } from '../users/user.ts'

const PageRequest = z.object({
  limit: z.int().min(1),
  marker: z.string().optional(),
  include_marker: z.boolean().optional(),
})
const page = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), next: z.string().optional() })
const Nothing = z.null()

/** Of the machine; `mem_total` in kB. */
export const HardwareInfo = z.object({ mem_total: z.number(), num_cpus: z.int() })
/** Of the database server's process; sizes in kB. */
export const Diagnostics = z.object({
  version: z.string(),
  threads: z.int(),
  fdSize: z.int(),
  vmSize: z.int(),
  vmPeak: z.int(),
  vmRss: z.int(),
  vmHwm: z.int(),
})

/** To the agent of an instance, on its own queue. The names are Trove's. */
export const guest = contract('guest', {
  rpc_ping: query(z.object({}), z.literal(true)),
  prepare: command(
    z.object({
      databases: z.array(DatabaseSpec),
      users: z.array(UserSpec),
      datastore_version: z.string(),
      allowed_cidrs: z.array(z.string()).optional(),
    }),
    Nothing,
  ),
  create_database: command(z.object({ databases: z.array(DatabaseSpec) }), Nothing),
  delete_database: command(z.object({ name: z.string() }), Nothing),
  list_databases: query(PageRequest, page(DatabaseName)),
  create_user: command(z.object({ users: z.array(UserSpec) }), Nothing),
  delete_user: command(UserId, Nothing),
  get_user: query(UserId, UserView.nullable()),
  list_users: query(PageRequest, page(UserView)),
  change_passwords: command(z.object({ users: z.array(UserId.extend({ password: secret(z.string()) })) }), Nothing),
  update_attributes: command(
    UserId.extend({
      attributes: z.object({
        name: z.string().optional(),
        password: secret(z.string()).optional(),
        host: z.string().optional(),
      }),
    }),
    Nothing,
  ),
  list_access: query(UserId, z.array(DatabaseName)),
  grant_access: command(UserId.extend({ databases: z.array(z.string()) }), Nothing),
  revoke_access: command(UserId.extend({ database: z.string() }), Nothing),
  /** The database server stops and starts again. */
  restart: command(z.object({}), Nothing),
  /** It stays stopped until it is restarted, or its machine is. */
  stop_db: command(z.object({}), Nothing),
  /** Takes on what its machine has become (memory, processors), and restarts. */
  start_db_with_conf_changes: command(z.object({}), Nothing),
  /** Takes on the engine that its machine has now, and restarts. */
  upgrade: command(z.object({ datastore_version: z.string() }), Nothing),
  /** The first command on a new server that got an older one's volume: serves what is on it. */
  rebuild: command(z.object({ datastore_version: z.string() }), Nothing),
  /** From where the database can be reached: IPv4 networks; none named = from everywhere. */
  update_access: command(z.object({ allowed_cidrs: z.array(z.string()) }), Nothing),
  get_filesystem_stats: query(z.object({}), z.object({ used: z.number() })),
  /** The API makes the password: nothing secret travels back. */
  enable_root_with_password: command(z.object({ root_password: secret(z.string()) }), Nothing),
  disable_root: command(z.object({}), Nothing),
  is_root_enabled: query(z.object({}), z.boolean()),
  get_hwinfo: query(z.object({}), HardwareInfo),
  get_diagnostics: query(z.object({}), Diagnostics),
  ssl_show: query(z.object({}), SslView),
  /** Turns TLS on in this mode, or off. */
  ssl_action: command(z.object({ enable: z.boolean(), mode: SslMode.optional() }), SslOutcome),
  /** Takes the last ssl_action back. */
  ssl_rollback: command(z.object({}), SslOutcome),
})
export type GuestMethods = (typeof guest)['methods']

/** What a message to an agent holds once opened. */
export const GuestMessage = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('query'), method: z.string(), input: z.unknown(), requestId: z.string() }),
  z.object({
    kind: z.literal('command'),
    number: z.int().min(1),
    method: z.string(),
    input: z.unknown(),
    requestId: z.string(),
    /** Cancelled: to be counted, not done. */
    skip: z.boolean().optional(),
  }),
])
export type GuestMessage = z.infer<typeof GuestMessage>

/** What an agent answers to a query, once opened. */
export const GuestAnswer = z.union([
  z.object({ result: z.unknown() }),
  z.object({ refused: z.object({ code: z.int(), message: z.string() }) }),
  z.object({ failed: z.string() }),
])
export type GuestAnswer = z.infer<typeof GuestAnswer>
