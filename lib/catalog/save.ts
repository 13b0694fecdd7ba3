import type { Datastores } from '../datastores/manifest.ts'
import { badRequest, truncate } from '../kit/errors.ts'
import { assertFitsRecord } from '../kit/http/parse.ts'
import type { Mutation } from '../kit/http/route.ts'
import type { Stored } from '../kit/records.ts'
import { allDatastores, engineOfVersion, manifestOf, versionNumber } from '../model/catalog.ts'
import { CATALOG_PROJECT, type Datastore, datastores, type Version } from '../model/datastore.ts'
import type { Platform } from '../platform/platform.ts'
import type { Change } from '../ports/store.ts'

/** All stored datastores. */
type Catalog = Stored<Datastore>[]

/** The version with this id, and its datastore. Throws 400, not 404, as Trove does. */
export function findVersion(catalog: Catalog, id: string): { item: Stored<Datastore>; version: Version } {
  for (const item of catalog) {
    const version = item.body.versions.find(each => each.id === id)
    if (version) return { item, version }
  }
  throw badRequest(`Datastore version '${truncate(id)}' cannot be found.`)
}

/** The mutation with the changes that `decide` makes of the current catalog. */
export async function changeCatalog(
  deps: Pick<Platform, 'store' | 'datastores'>,
  decide: (catalog: Catalog) => Change[],
): Promise<Mutation> {
  return { reply: { status: 202 }, changes: decide(await allDatastores(deps)) }
}

/** Throws 400 unless the version's image or tags select an engine. */
export function assertEngineExists(registry: Datastores, version: Version): void {
  const { manager, image, imageTags } = version
  manifestOf(registry, manager)
  if (!image && imageTags.length === 0) throw badRequest('Image must be specified.')
  if (!engineOfVersion(registry, version))
    throw badRequest(`Image ${truncate(image || imageTags.join(', '))} cannot be found.`)
}

/** Throws 400 if the datastore already has a version with that name and number. */
export function assertUnique(registry: Datastores, { versions }: Pick<Datastore, 'versions'>, version: Version): void {
  const number = versionNumber(registry, version)
  if (!versions.some(other => other.name === version.name && versionNumber(registry, other) === number)) return
  throw badRequest(
    `The datastore version with name '${truncate(version.name)}'(version: ${truncate(number)}) already exists.`,
  )
}

/** The datastore with that version as its default (true), without it as its default (false), or unchanged. */
export function withDefault(datastore: Datastore, id: string, isDefault: boolean | null | undefined): Datastore {
  const { defaultVersion, ...rest } = datastore
  if (isDefault) return { ...rest, defaultVersion: id }
  return isDefault === false && defaultVersion === id ? rest : datastore
}

/** The datastore with `preferred` set; unchanged if the request does not say. */
export const withPreferred = (datastore: Datastore, preferred: boolean | null | undefined): Datastore =>
  typeof preferred === 'boolean' ? { ...datastore, preferred } : datastore

/** The changes that store a datastore. If it is preferred, no other one stays so. */
export function saveChanges(catalog: Catalog, item: Stored<Datastore> | undefined, datastore: Datastore): Change[] {
  assertFitsRecord(datastore)
  const others = catalog.filter(other => other !== item && other.body.preferred && datastore.preferred)
  return [
    item ? datastores.replace(item, datastore) : datastores.create(CATALOG_PROJECT, datastore.name, datastore),
    ...others.map(other => datastores.replace(other, { ...other.body, preferred: false })),
  ]
}
