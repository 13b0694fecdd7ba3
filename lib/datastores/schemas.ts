import { z } from 'zod'
import { Id, Links } from '../kit/http/schemas.ts'

/** What of a version only admins see. */
const inside = {
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
    version: z.string().describe("The engine's own number."),
    links: Links,
    ...z.strictObject({ ...inside, packages: z.string() }).partial().shape,
  })
  .meta({ id: 'DatastoreVersionOfList', description: 'The fields after `links` are for admins.' })

const WholeVersion = z
  .strictObject({ ...VersionView.shape, datastore: z.string().describe("The datastore's id.") })
  .meta({ id: 'DatastoreVersion' })

const DatastoreView = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    links: Links,
    versions: z.array(VersionView),
    default_version: z.string().optional().describe('The id of the version that is taken where none is named.'),
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
    ...inside,
    packages: z.array(z.string()),
    default: z.boolean(),
  })
  .meta({ id: 'ManagedDatastoreVersion' })

export const DatastoreAnswer = z.strictObject({ datastore: DatastoreView })
export const DatastoreList = z.strictObject({ datastores: z.array(DatastoreView) })
export const VersionAnswer = z.strictObject({ version: WholeVersion })
export const VersionList = z.strictObject({ versions: z.array(WholeVersion) })
export const VolumeTypes = z.strictObject({ volume_types: z.array(Id) }).describe('There are none to choose from.')
export const ManagedVersionAnswer = z.strictObject({ version: ManagedVersion })
export const ManagedVersionList = z.strictObject({ versions: z.array(ManagedVersion) })
