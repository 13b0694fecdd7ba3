import { kind } from '../kit/records.ts'

/** A version of a datastore: a name for an engine of a manager. */
export interface Version {
  id: string
  name: string
  /** What `version_number` shows instead of the engine's own. */
  number?: string
  manager: string
  /** Id or name of the engine; empty = chosen by the tags. */
  image: string
  imageTags: string[]
  packages: string[]
  active: boolean
  registryExt: string | null
  replStrategy: string | null
}

/** A datastore with its versions: one record, so that its rules hold in each transaction and one query shows it all. */
export interface Datastore {
  id: string
  name: string
  versions: Version[]
  /** Id of the version that a create without one gets. */
  defaultVersion?: string
  /** Creates that name no datastore get this one. */
  preferred?: boolean
  /** Ids of the manifest's versions that it was given: what an admin has deleted does not come back. */
  seeded: string[]
  /** It is shown to nobody; the record remembers what was seeded. */
  deleted?: boolean
}

/** Datastores, by name, in no project. */
export const datastores = kind<Datastore>('datastore')
export const NO_PROJECT = '*'
