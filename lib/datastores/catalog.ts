import { badRequest, cut, notFound } from '../kit/errors.ts'
import type { Stored } from '../kit/records.ts'
import type { Platform } from '../platform/platform.ts'
import { type Change, Conflict } from '../platform/store/store.ts'
import { type Datastore, datastores, NO_PROJECT, type Version } from './datastore.ts'
import type { DatastoreVersion, Manifest } from './manifest.ts'
import { postgresql } from './postgresql/manifest.ts'

/** Every datastore that machines can run; the first is the default until an admin prefers another. */
export const MANIFESTS: readonly Manifest[] = [postgresql]

/** The most datastores that there can be: all are read at once. */
export const MOST = 100

const found = (manager: string) => MANIFESTS.find(manifest => manifest.manager === manager)

/** The manifest of a manager; with an engine's name, as the rules are there. */
export function manifestOf(manager: string, engine?: string): Manifest {
  const manifest = found(manager)
  if (!manifest) throw badRequest(`Datastore manager '${cut(manager)}' cannot be found.`)
  const version = manifest.versions.find(({ name }) => name === engine)?.version
  if (version === undefined) return manifest
  return { ...manifest, badLocale: (characterSet, collate) => manifest.badLocale(characterSet, collate, version) }
}

/** The engine that a version stands for: the one of that id or name, else the newest with all the tags. */
export function engineOf({ manager, image, imageTags }: Pick<Version, 'manager' | 'image' | 'imageTags'>) {
  const engines = found(manager)?.versions ?? []
  if (image) return engines.find(({ id, name }) => id === image || name === image)
  if (imageTags.length === 0) return undefined
  return engines.findLast(({ name, version }) => imageTags.every(tag => [manager, name, version].includes(tag)))
}

/** The exact version of the server that a version gives. */
export const numberOf = (version: Version) => version.number ?? engineOf(version)?.version ?? version.name

type Deps = Pick<Platform, 'store' | 'unit'>

/** Every datastore, in the order of their names: one query. */
export async function allDatastores({ store: own, unit }: Deps): Promise<Stored<Datastore>[]> {
  // What is seeded is no effect of the request that comes first: neither in its transaction nor left out of a dry run.
  const store = unit?.direct.store ?? own
  const list = () => datastores.list(store, NO_PROJECT, { limit: MOST })
  const there = await list()
  const missing = MANIFESTS.flatMap(manifest => seeding(manifest, there))
  if (missing.length === 0) return there
  await store.transact(missing).catch(error => {
    // Another request has just done it.
    if (!(error instanceof Conflict)) throw error
  })
  return list()
}

/** What gives a datastore the versions of its manifest that it was never given. */
function seeding(manifest: Manifest, there: Stored<Datastore>[]): Change[] {
  const { id, name, defaultVersion } = manifest
  const item = there.find(({ body }) => body.name === name)
  if (!item) {
    const versions = manifest.versions.map(engine => seed(manifest, engine))
    const byDefault = versions.find(version => version.name === defaultVersion)
    const preferred = manifest === MANIFESTS[0] && !there.some(({ body }) => body.preferred)
    const body: Datastore = { id, name, versions, preferred, seeded: versions.map(version => version.id) }
    if (byDefault) body.defaultVersion = byDefault.id
    return [datastores.create(NO_PROJECT, name, body)]
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
  if (!item) throw notFound(`Datastore '${cut(ref)}' cannot be found.`)
  return item
}

interface Wanted {
  type?: string | undefined
  version?: string | undefined
  version_number?: string | undefined
}

/**
 * The version that a create asks for, or the default one: its engine's name and exact version, and the rules that hold
 * there under the datastore's name. Throws 404 and 400 as Trove does.
 */
export async function chooseVersion(deps: Deps, wanted: Wanted | undefined) {
  const all = await allDatastores(deps)
  const datastore = wanted?.type === undefined ? preferred(all) : datastoreNamed(all, wanted.type).body
  const version = versionOf(datastore, wanted)
  if (!version.active) throw badRequest(`Datastore version '${version.name}' is not active.`)
  const engine = engineOf(version)
  if (!engine) throw badRequest(`The image of datastore version '${version.name}' cannot be found.`)
  const manifest: Manifest = { ...manifestOf(version.manager, engine.name), id: datastore.id, name: datastore.name }
  const { id, name, active } = version
  return { manifest, version: { id, name, active, version: numberOf(version), engine: engine.name } }
}

function preferred(all: Stored<Datastore>[]): Datastore {
  const item = all.find(({ body }) => body.preferred && !body.deleted)
  if (!item) throw badRequest('Please specify datastore. There is no default datastore.')
  return item.body
}

function versionOf(datastore: Datastore, wanted: Wanted | undefined): Version {
  const { version: ref, version_number: number } = wanted ?? {}
  if (ref === undefined && number === undefined) {
    const byDefault = datastore.versions.find(({ id }) => id === datastore.defaultVersion)
    if (!byDefault) throw badRequest(`Default version for datastore '${datastore.name}' not found.`)
    return byDefault
  }
  const fitting = versionsNamed(datastore, ref).filter(
    version => number === undefined || numberOf(version) === number || version.name === number,
  )
  const [version, another] = fitting
  if (!version) throw badRequest(`Datastore version '${cut(ref ?? number ?? '')}' cannot be found.`)
  if (another) {
    throw badRequest(
      `Multiple datastore versions found for '${cut(ref ?? number ?? '')}', use an UUID to be more specific.`,
    )
  }
  return version
}

/** The versions that a reference may mean: the one of that id, else those of that name, else of that number. */
export function versionsNamed({ versions }: Datastore, ref: string | undefined): Version[] {
  if (ref === undefined) return versions
  const ways = [({ id }: Version) => id, ({ name }: Version) => name, numberOf]
  return ways.map(way => versions.filter(version => way(version) === ref)).find(({ length }) => length > 0) ?? []
}
