import type { SslMode } from '../contracts/guest/tls.ts'

/** The rules of a datastore's databases. */
export interface DatabaseRules {
  /** Names that nobody may create or drop. Compared exactly. */
  reserved: string[]
  /** Why the engine would refuse this name, or undefined if it accepts it. */
  nameProblem(name: string): string | undefined
  /** Why that exact version (else the newest) does not offer this character_set and collate, or undefined. */
  localeProblem(characterSet: string | undefined, collate: string | undefined, version?: string): string | undefined
}

/** The rules of a datastore's users. */
export interface UserRules {
  /** Names, and beginnings of names, that nobody may create or drop. Compared exactly. */
  reserved: string[]
  reservedPrefixes: string[]
  /** Why the engine would refuse this name, or undefined if it accepts it. */
  nameProblem(name: string): string | undefined
  /** Why this host pattern cannot be enforced for that user, or undefined. */
  hostProblem(user: string, host: string): string | undefined
}

/** Settings that a tenant may change: which need a restart, and which do not. */
interface ParameterRules {
  dynamic: string[]
  static: string[]
}

/** Logs that a tenant may read, by name. */
interface LogRules {
  names: string[]
}

/** How backups are made, and whether a restore can stop at a point in time. */
interface BackupRules {
  strategies: string[]
  pointInTime: boolean
}

/** How replicas follow their source. */
interface ReplicationRules {
  strategies: string[]
}

/** How many members a cluster has at least. */
interface ClusterRules {
  minMembers: number
}

/**
 * What a datastore can do beyond being run, with the data and rules of each. The first five have verbs
 * (`CapabilityVerbs`); the others are foreseen, and no driver compiles that claims one.
 */
export interface Capabilities {
  databases?: DatabaseRules
  users?: UserRules
  /** The user that POST root enables. */
  root?: { user: string }
  tls?: { modes: SslMode[] }
  /** Limits from which networks it is reached. */
  access?: Record<string, never>
  parameters?: ParameterRules
  logs?: LogRules
  backups?: BackupRules
  replication?: ReplicationRules
  clusters?: ClusterRules
}

/** Capabilities of which these are certain. */
export type Having<K extends keyof Capabilities> = Capabilities & Required<Pick<Capabilities, K>>
