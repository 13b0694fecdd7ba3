import type { z } from 'zod'
import type { accessMethods } from '../contracts/guest/access.ts'
import type { coreMethods, Diagnostics as DiagnosticsSchema } from '../contracts/guest/core.ts'
import type { DatabaseSpec, databaseMethods } from '../contracts/guest/databases.ts'
import type { RootMode, rootMethods } from '../contracts/guest/root.ts'
import type { PageRequest as PageRequestSchema } from '../contracts/guest/shared.ts'
import type { SslOutcome, SslState, SslView, tlsMethods } from '../contracts/guest/tls.ts'
import type { UserSpec, UserView, userMethods } from '../contracts/guest/users.ts'
import type { Clock, Log, Random } from '../kit/clock.ts'
import type { Owner } from '../kit/os/files.ts'
import type { Command, Methods, Query } from '../kit/rpc/contract.ts'
import type { Capabilities } from './capabilities.ts'
import type { Manifest } from './manifest.ts'

export type { DatabaseSpec, RootMode, SslOutcome, SslState, SslView, UserSpec, UserView }

/** A request for a page of a listing; `marker` is a name, after which (in byte order of UTF-8) the page begins. */
export type PageRequest = z.infer<typeof PageRequestSchema>

/** A page of a listing; `next` = the marker of the next page, if there is one. */
export interface Page<T> {
  items: T[]
  next?: string | undefined
}

/** Statistics of the server's process, and the server's version; sizes in kB. */
export type Diagnostics = z.infer<typeof DiagnosticsSchema>

/** Where a driver's instance lives on this machine, and what it may use there. */
export interface DriverContext {
  /**
   * The volume's directory: the server's data and the driver's own small files (mode 0700, owned by the agent's uid).
   */
  volume: string
  /** The folder of the engine's programs. */
  engine: string
  address: string
  port: number
  flavor: { ramMb: number; vcpus: number }
  /** Undefined = administrator. */
  root?: RootMode | undefined
  /** Transactions are read-only unless they say otherwise: the volume is full. The driver sets it. */
  isReadOnly?: boolean | undefined
  clock: Clock
  random: Random
  log: Log
  /** Who runs the server and owns its files, for tests that run as root; an agent has the instance's own uid. */
  owner?: Owner | undefined
}

/** The request cannot be fulfilled, and repeating it will not help. `code` is the API's status code. */
export class RejectedByDatastore extends Error {
  override name = 'RejectedByDatastore'
  readonly code: 400 | 404 | 409 | 422 | 501
  constructor(code: 400 | 404 | 409 | 422 | 501, message: string) {
    super(message)
    this.code = code
  }
}

/** A method of the agent's contract as a driver has it: with its parsed input, and void where there is no result. */
type Verb<M> = M extends Query<infer I, infer O> | Command<infer I, infer O>
  ? (input: z.output<I>) => Promise<z.output<O> extends null ? void : z.output<O>>
  : never

/** The verbs of some methods. Each may be repeated with the same input (after a crash in the middle). */
export type Verbs<M extends Methods> = { [K in keyof M]: Verb<M[K]> }

type CoreVerbs = Verbs<typeof coreMethods>

/** What each driver has. */
export interface Server {
  /** Configures the server for its flavor, starts it (or adopts a running one), and creates the databases and users. */
  prepare: CoreVerbs['prepare']
  /** Starts the server, or adopts one of this volume that already runs; resolves once it accepts connections. */
  start(): Promise<void>
  /** Ends every session and stops the server cleanly; nothing happens if none runs. */
  stop(): Promise<void>
  /** Resolves when the server process that runs at the call has ended, or `signal` is aborted. Cheap. */
  exited(signal: AbortSignal): Promise<void>
  /** Bytes that the volume's files take on the disk. Also keeps the server's log small. */
  used_bytes(): Promise<number>
  /**
   * Makes transactions read-only, of open sessions too, unless they say otherwise; or ends that. Not those of the agent.
   * Without it a volume that gets full is limited by a stop of the server only.
   */
  set_read_only?(isReadOnly: boolean): Promise<void>
  /** Whether an error means that the server was not there, or went away during the call. */
  isConnectionLost?(error: unknown): boolean
  /** Rejected with 422 if no server runs, or if this system has no such statistics. */
  diagnostics(): Promise<Diagnostics>
}

/** create_database skips what exists; delete_database ends the database's sessions, or is rejected with 404. */
export type DatabaseVerbs = Verbs<typeof databaseMethods>

/**
 * create_user gives an existing user the given password, host and grants. delete_user reassigns the user's objects.
 * Without a host any host is meant. What names a missing user or grant is rejected with 404, except get_user.
 */
export type UserVerbs = Verbs<typeof userMethods>

/**
 * enable_root_with_password creates the manifest's root user, or changes its password. After disable_root it can no
 * longer log in and its sessions have ended; its objects stay.
 */
export type RootVerbs = Verbs<typeof rootMethods>

/** The agent's part in TLS. */
export interface CertificateVerbs {
  /**
   * The public half (SPKI, DER, base64) of the volume's TLS key, which is created at the first call and never leaves
   * it.
   */
  tls_key(): Promise<string>
  /** Serves this certificate for that key (PEM, as `ca`) from the next connection on; open sessions go on. */
  use_certificate(tls: { certificate: string; ca: string }): Promise<void>
}

/** The mode `enforced` ends sessions without TLS. ssl_rollback restores the state before the last ssl_action, or 400. */
export type TlsVerbs = Verbs<typeof tlsMethods> & CertificateVerbs

/** update_access ends the sessions of users from other networks; no network = admitted from everywhere. */
export type AccessVerbs = Verbs<typeof accessMethods>

/** The verbs that a capability obliges to. */
interface CapabilityVerbs {
  databases: DatabaseVerbs
  users: UserVerbs
  root: RootVerbs
  tls: TlsVerbs
  access: AccessVerbs
}

type AllVerbs = DatabaseVerbs & UserVerbs & RootVerbs & TlsVerbs & AccessVerbs
type VerbsOf<C> = { [K in keyof C & keyof CapabilityVerbs]: keyof CapabilityVerbs[K] }
type VerbNames<C> = Extract<VerbsOf<C>[keyof VerbsOf<C>], keyof AllVerbs>

/**
 * The verbs of one datastore on the machine of an instance: those of every server, and of exactly the capabilities in
 * `C`. A verb that is repeated ends in the same state. Throws RejectedByDatastore for a request that cannot be
 * fulfilled; any other error is a fault. `never` for a capability that has no verbs yet.
 */
export type Driver<C extends Capabilities> = [keyof C] extends [keyof CapabilityVerbs]
  ? Server & Pick<AllVerbs, VerbNames<C>>
  : never

/** A driver whose capabilities are not known. */
export type AnyDriver = Server & Partial<AllVerbs>

/** Creates the driver of an instance. Only `defineDriver` makes one: the manifest shows that it was checked. */
export interface DriverFactory<M extends Manifest = Manifest, D = AnyDriver> {
  (context: DriverContext): D
  readonly manifest: M
}

/** Makes each member of `Actual` that `Expected` does not have impossible. */
type NothingBeyond<Expected, Actual> = { [K in Exclude<keyof Actual, keyof Expected>]: never }

/**
 * Defines a datastore's driver. It compiles with exactly the verbs that the manifest's capabilities oblige to. Do not
 * declare the return type of `create`: it would hide verbs that are not claimed.
 */
export function defineDriver<M extends Manifest, D extends Driver<M['can']>>(
  manifest: M,
  create: (context: DriverContext) => D & NothingBeyond<Driver<M['can']>, D>,
): DriverFactory<M, Driver<M['can']>> {
  return Object.assign((context: DriverContext) => create(context), { manifest })
}

/** A factory for each manifest. */
export type Drivers<M extends Record<string, Manifest>> = { [K in keyof M]: DriverFactory<M[K], Driver<M[K]['can']>> }

/** Control of the server itself. The agent adds it to a driver, because its supervisor has to know of it. */
export type ServerControl = Pick<
  CoreVerbs,
  'restart' | 'stop_db' | 'start_db_with_conf_changes' | 'upgrade' | 'rebuild'
>
