import type { Manifest } from './manifest.ts'
import { postgresqlManifest } from './postgresql/manifest.ts'

/** Every datastore, by manager. The first is the default until an admin prefers another. */
export const MANIFESTS = {
  postgresql: postgresqlManifest,
} satisfies Record<string, Manifest>

/** A datastore's key in the registries. */
export type DatastoreName = keyof typeof MANIFESTS

/** The datastore that a create gets if it names none. */
export const DEFAULT_DATASTORE = 'postgresql' satisfies DatastoreName
export const DEFAULT_MANIFEST: Manifest = MANIFESTS[DEFAULT_DATASTORE]
