/** An engine that is installed on machines, and the datastore version that it first gets. Its id is the image's. */
export interface DatastoreVersion {
  id: string
  /** The name under which machines have it installed. */
  name: string
  /** The exact version, as `version_number` shows it. */
  version: string
  active: boolean
}

/** Everything that the control plane knows of a datastore: data and rules, no verbs. */
export interface Manifest {
  id: string
  name: string
  manager: string
  defaultVersion: string
  /** Oldest first. */
  versions: DatastoreVersion[]
  port: number
  /** Names that nobody may create or drop. Compared exactly. */
  reserved: { databases: string[]; users: string[]; userPrefixes: string[] }
  /** Why the engine would refuse this name, or undefined if it accepts it. */
  databaseNameProblem(name: string): string | undefined
  userNameProblem(name: string): string | undefined
  /** Why that exact version (else the newest) does not offer this character_set and collate, or undefined. */
  localeProblem(characterSet: string | undefined, collate: string | undefined, version?: string): string | undefined
  /** Why data of one exact version cannot be served by another, or undefined. */
  upgradeProblem(from: string, to: string): string | undefined
  /** Why this host pattern cannot be enforced for that user, or undefined. */
  hostProblem(user: string, host: string): string | undefined
  /** The superuser that POST root enables. */
  rootUser: string
  /**
   * The settings of that exact version (else the newest) for a flavor, by name, without those that say where the server
   * is.
   */
  defaultConfiguration(flavor: { ramMb: number; vcpus: number }, version?: string): Record<string, string | number>
}
