import type { z } from 'zod'
import type { DatabaseSpec } from '../contracts/guest/databases.ts'
import type { Diagnostics as DiagnosticsSchema, GuestMethods } from '../contracts/guest/guest.ts'
import type { SslOutcome, SslState, SslView } from '../contracts/guest/tls.ts'
import type { UserSpec, UserView } from '../contracts/guest/users.ts'
import type { Clock, Log, Random } from '../kit/clock.ts'

export type { DatabaseSpec, SslOutcome, SslState, SslView, UserSpec, UserView }

/** A request for a page of a listing; `marker` is a name, after which (in byte order of UTF-8) the page begins. */
export type PageRequest = z.infer<GuestMethods['list_users']['input']>

/** A page of a listing; `next` = the marker of the next page, if there is one. */
export interface Page<T> {
  items: T[]
  next?: string
}

/** Statistics of the server's process, and the server's version; sizes in kB. */
export type Diagnostics = z.infer<typeof DiagnosticsSchema>

/** Where a driver's instance lives on this machine, and what it may use there. */
export interface DriverContext {
  /**
   * The volume's directory: the cluster's data and the driver's own small files (mode 0700, owned by the agent's uid).
   */
  volume: string
  /** The folder of the server's programs: `<engine>/bin/postgres` and so on. */
  engine: string
  address: string
  port: number
  flavor: { ramMb: number; vcpus: number }
  clock: Clock
  random: Random
  log: Log
}

/** The request cannot be fulfilled, and repeating it will not help. `code` is the API's status code. */
export class RejectedByDatastore extends Error {
  override name = 'RejectedByDatastore'
  readonly code: 400 | 404 | 409 | 422
  constructor(code: 400 | 404 | 409 | 422, message: string) {
    super(message)
    this.code = code
  }
}

/**
 * The verbs of one datastore on the machine of an instance. Each may be repeated with the same input (after a crash in
 * the middle) and then ends in the same state. Throws RejectedByDatastore for a request that cannot be fulfilled; any
 * other error is a fault.
 */
export interface Driver {
  /** Configures the server for its flavor, starts it (or adopts a running one), and creates the databases and users. */
  prepare(input: { databases: DatabaseSpec[]; users: UserSpec[]; networks?: string[] }): Promise<void>
  /** Starts the server, or adopts one of this volume that already runs; resolves once it accepts connections. */
  start(): Promise<void>
  /** Ends every session and stops the server cleanly; nothing happens if none runs. */
  stop(): Promise<void>
  /** Resolves when the server process that runs at the call has ended, or `signal` is aborted. Cheap. */
  exited(signal: AbortSignal): Promise<void>

  create_database(databases: DatabaseSpec[]): Promise<void>
  /** Ends the database's sessions. Rejected with 404 if there is none of that name. */
  delete_database(name: string): Promise<void>
  list_databases(page: PageRequest): Promise<Page<{ name: string }>>

  /** Creates users; an existing one gets the given password, host and grants. */
  create_user(users: UserSpec[]): Promise<void>
  /** Reassigns the user's objects. Rejected with 404 if there is no such user. */
  delete_user(name: string, host: string | undefined): Promise<void>
  /** Undefined if there is none; `host` undefined = any. */
  get_user(name: string, host: string | undefined): Promise<UserView | undefined>
  list_users(page: PageRequest): Promise<Page<UserView>>
  change_passwords(users: { name: string; host?: string | undefined; password: string }[]): Promise<void>
  update_attributes(
    name: string,
    host: string | undefined,
    attributes: { name?: string | undefined; password?: string | undefined; host?: string | undefined },
  ): Promise<void>
  list_access(name: string, host: string | undefined): Promise<{ name: string }[]>
  grant_access(name: string, host: string | undefined, databases: string[]): Promise<void>
  /** Rejected with 404 if the user has no grant on it. */
  revoke_access(name: string, host: string | undefined, database: string): Promise<void>

  /** Admits users from these IPv4 networks only (none = from everywhere), and ends the sessions of others. */
  update_access(networks: string[]): Promise<void>

  /** Bytes that the volume's files take on the disk. Also keeps the server's log small. */
  used_bytes(): Promise<number>
  /** Whether an error means that the server was not there, or went away during the call. */
  isConnectionLost?(error: unknown): boolean

  /** Creates the manifest's root user, a superuser that can log in, or changes its password. */
  enable_root_with_password(password: string): Promise<void>
  /** Root can no longer log in and its sessions end; its objects stay. Nothing happens if there is none. */
  disable_root(): Promise<void>
  is_root_enabled(): Promise<boolean>
  /** Rejected with 422 if no server runs, or if this system has no such statistics. */
  diagnostics(): Promise<Diagnostics>
  /**
   * The public half (SPKI, DER, base64) of the volume's TLS key, which is created at the first call and never leaves
   * it.
   */
  tls_key(): Promise<string>
  /** Serves this certificate for that key (PEM, as `ca`) from the next connection on; open sessions go on. */
  use_certificate(tls: { certificate: string; ca: string }): Promise<void>
  ssl_show(): Promise<SslView>
  /** Turns TLS on in a mode, or off; `enforced` ends sessions without TLS. */
  ssl_action(mode: SslState['mode'] | undefined): Promise<SslOutcome>
  /** Restores the state before the last ssl_action. Rejected with 400 if there was none since the last rollback. */
  ssl_rollback(): Promise<SslOutcome>
}

/** Control of the server itself. The agent adds it to a driver, because its supervisor has to know of it. */
export interface ServerControl {
  restart(): Promise<void>
  stop_db(): Promise<void>
  /** Restarts with the machine's current flavor and engine. Throws if the server does not start with them. */
  start_db_with_conf_changes(): Promise<void>
  upgrade(): Promise<void>
  /** Starts the server on the volume's existing data. */
  rebuild(): Promise<void>
}
