import type { Clock, Log, Random } from '../kit/clock.ts'
import type { ProcessFigures } from '../kit/figures.ts'

/** What a driver is given: where its instance lives on this machine and what it may use there. */
export interface Site {
  /** The volume's directory: the cluster's data and the driver's own small files (mode 0700, owned by the agent's uid). */
  volume: string
  /** Where the server's programs are: `<engine>/bin/postgres` and so on. */
  engine: string
  address: string
  port: number
  flavor: { ramMb: number; vcpus: number }
  clock: Clock
  random: Random
  log: Log
}

export interface DatabaseSpec {
  name: string
  character_set?: string | undefined
  collate?: string | undefined
}

export interface UserSpec {
  name: string
  password: string
  host?: string | undefined
  databases: { name: string }[]
}

export interface UserView {
  name: string
  host: string
  databases: { name: string }[]
}

/** A page of a listing; `next` = the marker that the next page begins after. */
export interface Page<T> {
  items: T[]
  next?: string
}

export interface PageRequest {
  limit: number
  /** Only names that come after it, in the listing's order (by code units of UTF-8). */
  marker?: string | undefined
  /** The marker's own row too. */
  include_marker?: boolean | undefined
}

/** What a server does about TLS: off (the mode is null), offered, or nothing else is taken. */
export interface SslState {
  status: 'on' | 'off'
  mode: 'basic' | 'enforced' | null
}

/** Trove's words for what the server on a machine is doing. */
export type ServiceStatus =
  | 'new'
  | 'building'
  | 'running'
  | 'healthy'
  | 'shutdown'
  | 'crashed'
  | 'failed'
  | 'restarting'

/** What the system tells of the server's process, and the server's version; sizes in kB. */
export interface Diagnostics extends ProcessFigures {
  version: string
}

/** The caller's wish cannot be granted and never will be; `code` says how the API answers it. */
export class Refused extends Error {
  override name = 'Refused'
  readonly code: 400 | 404 | 409 | 422
  constructor(code: 400 | 404 | 409 | 422, message: string) {
    super(message)
    this.code = code
  }
}

/**
 * The verbs of one datastore on the machine of an instance. Each may be repeated with the same input (after a crash in
 * the middle) and then ends in the same state. Throws Refused for what cannot be; any other error is a fault.
 */
export interface Driver {
  /** Writes the configuration for the flavor, starts the server (or adopts a running one) and makes what is asked for. */
  prepare(input: { databases: DatabaseSpec[]; users: UserSpec[]; networks?: string[] }): Promise<void>
  /** Starts the server, or adopts one of this volume that already runs; resolves once it accepts connections. */
  start(): Promise<void>
  /** Ends every session and stops the server cleanly; nothing happens if none runs. */
  stop(): Promise<void>
  /** Whether the server process lives and answers; never throws. */
  status(): Promise<ServiceStatus>
  /** Resolves when the server process, running at the call, has ended by itself (checked cheaply). */
  ended(signal: AbortSignal): Promise<void>

  create_database(databases: DatabaseSpec[]): Promise<void>
  /** Ends the database's sessions. Refused 404 if there is none. */
  delete_database(name: string): Promise<void>
  list_databases(page: PageRequest): Promise<Page<{ name: string }>>

  /** Makes users (one that exists gets the password, host and grants given). */
  create_user(users: UserSpec[]): Promise<void>
  /** Reassigns what the user owns. Refused 404 if there is none. */
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
  /** Refused 404 if the user has no grant on it. */
  revoke_access(name: string, host: string | undefined, database: string): Promise<void>

  /** Admits users from these IPv4 networks only (none named: from everywhere), and ends the sessions of others. */
  update_access(networks: string[]): Promise<void>

  /** Bytes that the volume's files take, truly counted. */
  used_bytes(): Promise<number>
  /** Whether an error means that the server was not there, or went away in the middle. */
  wasLost?(error: unknown): boolean

  /** Makes the manifest's root user, or gives it another password: a superuser that can log in. */
  enable_root_with_password(password: string): Promise<void>
  /** Root cannot log in any more and its sessions end; what it owns stays. Nothing happens if there is none. */
  disable_root(): Promise<void>
  is_root_enabled(): Promise<boolean>
  /** Of the server's process. Refused 422 if none runs, or if this system does not tell. */
  diagnostics(): Promise<Diagnostics>
  /** The public half (SPKI, DER, base64) of the volume's TLS key, which is made at the first call and never leaves it. */
  tls_key(): Promise<string>
  /** Serves this certificate for that key (PEM, as `ca`) from the next connection on; sessions go on. */
  use_certificate(tls: { certificate: string; ca: string }): Promise<void>
  ssl_show(): Promise<SslState & { certificate?: string | undefined; ca?: string | undefined }>
  /** Takes TLS into use in a mode, or out of use; `enforced` ends the sessions that came without. */
  ssl_action(mode: SslState['mode'] | undefined): Promise<SslState & { restart_required: boolean }>
  /** Goes back to before the last ssl_action; there is nothing to go back to twice. */
  ssl_rollback(): Promise<SslState & { restart_required: boolean }>
}

/** What is done to the server itself on purpose; the agent adds it to a driver, for its watch has to know. */
export interface Service {
  restart(): Promise<void>
  stop_db(): Promise<void>
  /** Takes on what the machine has become (flavor, engine), and restarts. Throws if the server does not start with it. */
  start_db_with_conf_changes(): Promise<void>
  upgrade(): Promise<void>
  /** Starts what is on the volume. */
  rebuild(): Promise<void>
}
