import { z } from 'zod'
import { Id, Links } from '../kit/http/schemas.ts'

/** The fields of a version that only admins see. */
const adminFields = {
  active: z.boolean(),
  image: z.string(),
  image_tags: z.array(z.string()),
  registry_ext: z.string().nullable(),
  repl_strategy: z.string().nullable(),
}

const VersionView = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    version: z.string().describe('The version number of the engine.'),
    links: Links,
    ...z.strictObject({ ...adminFields, packages: z.string() }).partial().shape,
  })
  .meta({ id: 'DatastoreVersionOfList', description: 'The fields after `links` are for admins.' })

const FullVersion = z
  .strictObject({ ...VersionView.shape, datastore: z.string().describe("The datastore's id.") })
  .meta({ id: 'DatastoreVersion' })

const DatastoreView = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    links: Links,
    versions: z.array(VersionView),
    default_version: z.string().optional().describe('The id of the version that a create gets if it names none.'),
  })
  .meta({ id: 'Datastore' })

const ManagedVersion = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    version: z.string(),
    datastore_id: z.string(),
    datastore_name: z.string(),
    datastore_manager: z.string(),
    ...adminFields,
    packages: z.array(z.string()),
    default: z.boolean(),
  })
  .meta({ id: 'ManagedDatastoreVersion' })

export const DatastoreAnswer = z.strictObject({ datastore: DatastoreView })
export const DatastoreList = z.strictObject({ datastores: z.array(DatastoreView) })
export const VersionAnswer = z.strictObject({ version: FullVersion })
export const VersionList = z.strictObject({ versions: z.array(FullVersion) })
export const VolumeTypes = z
  .strictObject({ volume_types: z.array(Id) })
  .describe('Always empty: there are no volume types to choose from.')
export const AdminVersionAnswer = z.strictObject({ version: ManagedVersion })
export const AdminVersionList = z.strictObject({ versions: z.array(ManagedVersion) })
