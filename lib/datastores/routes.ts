import { FLAVORS } from '../flavors/flavor.ts'
import { flavorView } from '../flavors/view.ts'
import { badRequest, cut, notFound } from '../kit/errors.ts'
import { linksOf } from '../kit/http/paging.ts'
import { type Call, type Route, route } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { findDatastore, MANIFESTS } from './catalog.ts'
import type { DatastoreVersion, Manifest } from './manifest.ts'

type Viewer = Pick<Call, 'base' | 'project' | 'admin'>

function versionView(manifest: Manifest, { id, name, version, active }: DatastoreVersion, viewer: Viewer) {
  const links = linksOf(viewer.base, viewer.project, `datastores/${manifest.id}/versions/${id}`)
  const more = { active, packages: '', image: null, image_tags: [], registry_ext: null, repl_strategy: null }
  return { id, name, version, links, ...(viewer.admin && more) }
}

const visible = ({ versions }: Manifest, { admin }: Viewer) => versions.filter(({ active }) => admin || active)

function datastoreView(manifest: Manifest, viewer: Viewer) {
  const { id, name } = manifest
  const byDefault = manifest.versions.find(version => version.name === manifest.defaultVersion)
  const links = linksOf(viewer.base, viewer.project, `datastores/${id}`)
  const versions = visible(manifest, viewer).map(version => versionView(manifest, version, viewer))
  return { id, name, links, versions, ...(byDefault && { default_version: byDefault.id }) }
}

function theDatastore({ params }: Call): Manifest {
  const found = findDatastore(params['datastore'] ?? '')
  if (!found) throw notFound(`Datastore '${cut(params['datastore'] ?? '')}' cannot be found.`)
  return found
}

/** The version named in the path. Real Trove answers 400, not 404, when there is none. */
function theVersion(call: Call, manifests: readonly Manifest[]) {
  const ref = call.params['version'] ?? ''
  for (const manifest of manifests) {
    const version = visible(manifest, call).find(({ id, name, version: number }) => [id, name, number].includes(ref))
    if (version) return { manifest, version }
  }
  throw badRequest(`Datastore version '${cut(ref)}' cannot be found.`)
}

const shown = (call: Call, { manifest, version }: ReturnType<typeof theVersion>) => ({
  version: { ...versionView(manifest, version, call), datastore: manifest.id },
})

export const routes: Route<Platform>[] = [
  route({ method: 'GET', suffix: true, path: '/datastores', summary: 'List datastores' }, async call => ({
    status: 200,
    body: { datastores: MANIFESTS.map(manifest => datastoreView(manifest, call)) },
  })),
  route({ method: 'GET', suffix: true, path: '/datastores/{datastore}', summary: 'Show a datastore' }, async call => ({
    status: 200,
    body: { datastore: datastoreView(theDatastore(call), call) },
  })),
  route(
    { method: 'GET', suffix: true, path: '/datastores/{datastore}/versions', summary: "List a datastore's versions" },
    async call => {
      const manifest = theDatastore(call)
      const versions = visible(manifest, call).map(version => ({
        ...versionView(manifest, version, call),
        datastore: manifest.id,
      }))
      return { status: 200, body: { versions } }
    },
  ),
  route(
    { method: 'GET', suffix: true, path: '/datastores/versions/{version}', summary: 'Show a version by its id' },
    async call => ({
      status: 200,
      body: shown(call, theVersion(call, MANIFESTS)),
    }),
  ),
  route(
    { method: 'GET', suffix: true, path: '/datastores/{datastore}/versions/{version}', summary: 'Show a version' },
    async call => ({ status: 200, body: shown(call, theVersion(call, [theDatastore(call)])) }),
  ),
  route(
    {
      method: 'GET',
      suffix: true,
      path: '/datastores/{datastore}/versions/{version}/flavors',
      summary: 'List flavors for a version',
    },
    async call => {
      theVersion(call, [theDatastore(call)])
      return { status: 200, body: { flavors: FLAVORS.map(flavor => flavorView(flavor, call)) } }
    },
  ),
  route(
    {
      method: 'GET',
      suffix: true,
      path: '/datastores/{datastore}/versions/{version}/volume-types',
      summary: 'List volume types for a version',
    },
    async call => {
      theVersion(call, [theDatastore(call)])
      return { status: 200, body: { volume_types: [] } }
    },
  ),
]
