import type { Capabilities } from './capabilities.ts'

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
export interface Manifest<C extends Capabilities = Capabilities> {
  id: string
  name: string
  /** Its key in the registries. */
  manager: string
  defaultVersion: string
  /** Oldest first. */
  versions: DatastoreVersion[]
  port: number
  /** Why data of one exact version cannot be served by another, or undefined. */
  upgradeProblem(from: string, to: string): string | undefined
  /**
   * The settings of that exact version (else the newest) for a flavor, by name, without those that say where the server
   * is.
   */
  defaultConfiguration(flavor: { ramMb: number; vcpus: number }, version?: string): Record<string, string | number>
  /** What it can do. A request for anything else gets 501. */
  can: C
}

/** The datastores that a control plane knows, by manager. The first is the default one. */
export interface Datastores {
  manifests: Readonly<Record<string, Manifest>>
}
