/** An engine that machines have, and the version that a datastore is first given for it. Its id is the image's. */
export interface DatastoreVersion {
  id: string
  /** By which machines have it installed. */
  name: string
  /** The exact version, as `version_number` shows it. */
  version: string
  active: boolean
}

/** All that the control plane knows of a datastore: data only, no verbs. */
export interface Manifest {
  id: string
  name: string
  manager: string
  defaultVersion: string
  /** Oldest first. */
  versions: DatastoreVersion[]
  port: number
  /** Names nobody may create or drop. Compared exactly. */
  reserved: { databases: string[]; users: string[]; userPrefixes: string[] }
  /** Why the engine would refuse this name, or undefined if it takes it. */
  badDatabaseName(name: string): string | undefined
  badUserName(name: string): string | undefined
  /** Why character_set/collate cannot be had in that exact version (else the newest), or undefined. */
  badLocale(characterSet: string | undefined, collate: string | undefined, version?: string): string | undefined
  /** Why data of one exact version cannot be served by another, or undefined. */
  badUpgrade(from: string, to: string): string | undefined
  /** Why this host pattern cannot be enforced for that user, or undefined. */
  badHost(user: string, host: string): string | undefined
  /** The superuser that POST root enables. */
  rootUser: string
  /** What that exact version (else the newest) is configured with for a flavor, by the name of the setting; nothing that tells of the machine. */
  defaultConfiguration(flavor: { ramMb: number; vcpus: number }, version?: string): Record<string, string | number>
}
