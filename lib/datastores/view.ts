import { linksOf } from '../kit/http/paging.ts'
import type { Call } from '../kit/http/route.ts'
import { numberOf } from './catalog.ts'
import type { Datastore, Version } from './datastore.ts'

/** For whom datastores are shown. */
export type Viewer = Pick<Call, 'base' | 'project' | 'admin'>

/** What of a version only admins see. */
const inside = (version: Version) => ({
  active: version.active,
  packages: version.packages.join(','),
  image: version.image,
  image_tags: version.imageTags,
  registry_ext: version.registryExt,
  repl_strategy: version.replStrategy,
})

/** A version as its datastore shows it. */
export function versionView(datastore: Datastore, version: Version, viewer: Viewer) {
  const { id, name } = version
  const links = linksOf(viewer.base, viewer.project, `datastores/${datastore.id}/versions/${id}`)
  return { id, name, version: numberOf(version), links, ...(viewer.admin && inside(version)) }
}

/** The versions that there are for this viewer. */
export const visible = ({ versions }: Datastore, { admin }: Viewer) => versions.filter(({ active }) => admin || active)

/** A datastore as the API shows it. */
export function datastoreView(datastore: Datastore, viewer: Viewer) {
  const { id, name, defaultVersion } = datastore
  const links = linksOf(viewer.base, viewer.project, `datastores/${id}`)
  const versions = visible(datastore, viewer).map(version => versionView(datastore, version, viewer))
  return { id, name, links, versions, ...(defaultVersion !== undefined && { default_version: defaultVersion }) }
}

/** Trove splits what it stores at commas: nothing becomes one empty word. */
const split = (words: string[]) => (words.length > 0 ? words : [''])

/** A version as management shows it. */
export const managedView = (datastore: Datastore, version: Version) => ({
  id: version.id,
  name: version.name,
  version: numberOf(version),
  datastore_id: datastore.id,
  datastore_name: datastore.name,
  datastore_manager: version.manager,
  ...inside(version),
  image_tags: split(version.imageTags),
  packages: split(version.packages),
  default: version.id === datastore.defaultVersion,
})
