import type { Capabilities, Having } from '../datastores/capabilities.ts'
import type { Datastores, DatastoreVersion, Manifest } from '../datastores/manifest.ts'
import { badRequest, notFound, notImplemented, truncate } from '../kit/errors.ts'
import type { Stored } from '../kit/records.ts'
import type { Platform } from '../platform/platform.ts'
import { type Change, Conflict } from '../ports/store.ts'
import { CATALOG_PROJECT, type Datastore, datastores, type Version } from './datastore.ts'
import type { Instance } from './instance.ts'

/** The most datastores there can be: one query reads them all. */
export const MAX_DATASTORES = 100

const manifestByManager = ({ manifests }: Datastores, manager: string): Manifest | undefined =>
  Object.hasOwn(manifests, manager) ? manifests[manager] : undefined

/** The manifest of a manager. With an engine's name, its locale rules are those of that engine. Throws 400. */
export function manifestOf(registry: Datastores, manager: string, engine?: string): Manifest {
  const manifest = manifestByManager(registry, manager)
  if (!manifest) throw badRequest(`Datastore manager '${truncate(manager)}' cannot be found.`)
  const version = manifest.versions.find(({ name }) => name === engine)?.version
  const { databases } = manifest.can
  if (version === undefined || !databases) return manifest
  const localeProblem = (characterSet?: string, collate?: string) =>
    databases.localeProblem(characterSet, collate, version)
  return { ...manifest, can: { ...manifest.can, databases: { ...databases, localeProblem } } }
}

/** The manifest, if its datastore has the capability. Throws 501 in Trove's words. */
export function requireCapability<K extends keyof Capabilities>(
  manifest: Manifest,
  capability: K,
  operation: string,
): Manifest<Having<K>> {
  if (hasCapability(manifest, capability)) return manifest
  throw notImplemented(`The '${operation}' operation is not supported for the '${manifest.manager}' datastore.`)
}

const hasCapability = <K extends keyof Capabilities>(manifest: Manifest, key: K): manifest is Manifest<Having<K>> =>
  manifest.can[key] !== undefined

/** The engine of a datastore version: the one with the image's id or name, else the newest that has all the tags. */
export function engineOfVersion(
  registry: Datastores,
  { manager, image, imageTags }: Pick<Version, 'manager' | 'image' | 'imageTags'>,
) {
  const engines = manifestByManager(registry, manager)?.versions ?? []
  if (image) return engines.find(({ id, name }) => id === image || name === image)
  if (imageTags.length === 0) return undefined
  return engines.findLast(({ name, version }) => imageTags.every(tag => [manager, name, version].includes(tag)))
}

/** The engine that an instance runs on, under the names that machines use. */
export const engineOfInstance = ({ manager, versionName, engine = versionName }: Instance['datastore']) => ({
  manager,
  version: engine,
})

/** The version number that the API shows: the admin's, else the engine's exact one. */
export const versionNumber = (registry: Datastores, version: Version) =>
  version.number ?? engineOfVersion(registry, version)?.version ?? version.name

type Deps = Pick<Platform, 'store' | 'datastores'>

/** Every datastore, in the order of names, in one query. Adds what the manifests have and the catalog never had. */
export async function allDatastores({ store, datastores: registry }: Deps): Promise<Stored<Datastore>[]> {
  const list = () => datastores.list(store, CATALOG_PROJECT, { limit: MAX_DATASTORES })
  const existing = await list()
  const manifests = Object.values(registry.manifests)
  const missing = manifests.flatMap((manifest, index) => seedChanges(manifest, index === 0, existing))
  if (missing.length === 0) return existing
  // Seeding is no part of the request that comes first: it has a transaction of its own, and a dry run does it too.
  await store.transact(missing).catch(error => {
    // Another request has just seeded them.
    if (!(error instanceof Conflict)) throw error
  })
  return list()
}

/** The changes that add the manifest's new versions to its datastore, or create it. Deleted versions stay deleted. */
function seedChanges(manifest: Manifest, isFirst: boolean, existing: Stored<Datastore>[]): Change[] {
  const { id, name, defaultVersion } = manifest
  const item = existing.find(({ body }) => body.name === name)
  if (!item) {
    const versions = manifest.versions.map(engine => seed(manifest, engine))
    const defaultOne = versions.find(version => version.name === defaultVersion)
    const preferred = isFirst && !existing.some(({ body }) => body.preferred)
    const body: Datastore = { id, name, versions, preferred, seeded: versions.map(version => version.id) }
    if (defaultOne) body.defaultVersion = defaultOne.id
    return [datastores.create(CATALOG_PROJECT, name, body)]
  }
  const { versions, seeded, deleted } = item.body
  const fresh = manifest.versions.filter(engine => !seeded.includes(engine.id))
  if (deleted || fresh.length === 0) return []
  const added = fresh
    .map(engine => seed(manifest, engine))
    .filter(version => !versions.some(other => other.name === version.name))
  const all = [...seeded, ...fresh.map(engine => engine.id)]
  return [datastores.replace(item, { ...item.body, versions: [...versions, ...added], seeded: all })]
}

const seed = ({ manager }: Manifest, { id, name, active }: DatastoreVersion): Version => ({
  id,
  name,
  manager,
  image: id,
  imageTags: [],
  packages: [],
  active,
  registryExt: null,
  replStrategy: null,
})

/** The datastore with this id or name. Throws 404. */
export function datastoreNamed(all: Stored<Datastore>[], ref: string): Stored<Datastore> {
  const item = all.find(({ body }) => !body.deleted && (body.id === ref || body.name === ref))
  if (!item) throw notFound(`Datastore '${truncate(ref)}' cannot be found.`)
  return item
}

/** The datastore that a request names. */
interface DatastoreRef {
  type?: string | undefined
  version?: string | undefined
  version_number?: string | undefined
}

/**
 * The requested version, or the default one, with its engine's name and version number; and the manifest with the
 * engine's rules under the datastore's id and name. Throws 404 and 400 as Trove does.
 */
export async function chooseVersion(deps: Deps, ref: DatastoreRef | undefined) {
  const all = await allDatastores(deps)
  const datastore = ref?.type === undefined ? preferredDatastore(all) : datastoreNamed(all, ref.type).body
  const version = findVersion(deps.datastores, datastore, ref)
  if (!version.active) throw badRequest(`Datastore version '${version.name}' is not active.`)
  const engine = engineOfVersion(deps.datastores, version)
  if (!engine) throw badRequest(`The image of datastore version '${version.name}' cannot be found.`)
  const rules = manifestOf(deps.datastores, version.manager, engine.name)
  const manifest: Manifest = { ...rules, id: datastore.id, name: datastore.name }
  const { id, name, active } = version
  const number = versionNumber(deps.datastores, version)
  return { manifest, version: { id, name, active, version: number, engine: engine.name } }
}

function preferredDatastore(all: Stored<Datastore>[]): Datastore {
  const item = all.find(({ body }) => body.preferred && !body.deleted)
  if (!item) throw badRequest('Please specify datastore. There is no default datastore.')
  return item.body
}

function findVersion(
  registry: Datastores,
  datastore: Datastore,
  { version: ref, version_number: number }: DatastoreRef = {},
): Version {
  if (ref === undefined && number === undefined) {
    const version = datastore.versions.find(({ id }) => id === datastore.defaultVersion)
    if (!version) throw badRequest(`Default version for datastore '${datastore.name}' not found.`)
    return version
  }
  const matches = versionsNamed(registry, datastore, ref).filter(
    version => number === undefined || versionNumber(registry, version) === number || version.name === number,
  )
  const [version, another] = matches
  if (!version) throw badRequest(`Datastore version '${truncate(ref ?? number ?? '')}' cannot be found.`)
  if (another) {
    throw badRequest(
      `Multiple datastore versions found for '${truncate(ref ?? number ?? '')}', use an UUID to be more specific.`,
    )
  }
  return version
}

/** The versions that a reference may mean: the one with that id, else those with that name, else with that number. */
export function versionsNamed(registry: Datastores, { versions }: Datastore, ref: string | undefined): Version[] {
  if (ref === undefined) return versions
  const keys = [
    ({ id }: Version) => id,
    ({ name }: Version) => name,
    (version: Version) => versionNumber(registry, version),
  ]
  return keys.map(keyOf => versions.filter(version => keyOf(version) === ref)).find(({ length }) => length > 0) ?? []
}
