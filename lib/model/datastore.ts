import { recordType } from '../kit/records.ts'

/** A version of a datastore: the name under which users get an engine. */
export interface Version {
  id: string
  name: string
  /** Shown as the version number instead of the engine's. */
  number?: string
  manager: string
  /** Id or name of the engine. Empty: the tags select it. */
  image: string
  imageTags: string[]
  packages: string[]
  active: boolean
  registryExt: string | null
  replStrategy: string | null
}

/** A datastore with its versions: one record, so that a transaction can check its rules and one query reads all. */
export interface Datastore {
  id: string
  name: string
  versions: Version[]
  /** Id of the version that a create gets if it names none. */
  defaultVersion?: string
  /** Creates that name no datastore get this one. */
  preferred?: boolean
  /** Ids of the manifest's versions that were added once: those that an admin deleted are not added again. */
  seeded: string[]
  /** The datastore is hidden. The record stays for `seeded`. */
  deleted?: boolean
}

/** Datastores by name, in `CATALOG_PROJECT`. */
export const datastores = recordType<Datastore>('datastore')
export const CATALOG_PROJECT = '*'
