import type { Datastores } from '../datastores/manifest.ts'
import { selfLinks } from '../kit/http/paging.ts'
import type { Call } from '../kit/http/route.ts'
import { versionNumber } from '../model/catalog.ts'
import type { Datastore, Version } from '../model/datastore.ts'
import type { Platform } from '../platform/platform.ts'

/** The caller that a view is for. */
type Viewer = Pick<Call<unknown, Platform>, 'baseUrl' | 'project' | 'admin' | 'deps'>

/** The fields of a version that only admins see. */
const adminFields = (version: Version) => ({
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
  const number = versionNumber(viewer.deps.datastores, version)
  const links = selfLinks(viewer.baseUrl, viewer.project, `datastores/${datastore.id}/versions/${id}`)
  return { id, name, version: number, links, ...(viewer.admin && adminFields(version)) }
}

/** The versions that the viewer may see. */
export const visibleVersions = ({ versions }: Datastore, { admin }: Pick<Viewer, 'admin'>) =>
  versions.filter(({ active }) => admin || active)

/** A datastore as the API shows it. */
export function datastoreView(datastore: Datastore, viewer: Viewer) {
  const { id, name, defaultVersion } = datastore
  const links = selfLinks(viewer.baseUrl, viewer.project, `datastores/${id}`)
  const versions = visibleVersions(datastore, viewer).map(version => versionView(datastore, version, viewer))
  return { id, name, links, versions, ...(defaultVersion !== undefined && { default_version: defaultVersion }) }
}

/** Trove splits a stored text at commas, so an empty list shows as one empty string. */
const asSplitText = (words: string[]) => (words.length > 0 ? words : [''])

/** A version as `/mgmt/datastore-versions` shows it. */
export const adminVersionView = (registry: Datastores, datastore: Datastore, version: Version) => ({
  id: version.id,
  name: version.name,
  version: versionNumber(registry, version),
  datastore_id: datastore.id,
  datastore_name: datastore.name,
  datastore_manager: version.manager,
  ...adminFields(version),
  image_tags: asSplitText(version.imageTags),
  packages: asSplitText(version.packages),
  default: version.id === datastore.defaultVersion,
})
