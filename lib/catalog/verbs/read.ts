import { badRequest, truncate } from '../../kit/errors.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import { allDatastores, datastoreNamed, versionsNamed } from '../../model/catalog.ts'
import type { Datastore, Version } from '../../model/datastore.ts'
import { FLAVORS } from '../../model/flavor.ts'
import { flavorView } from '../../model/flavor-view.ts'
import type { Platform } from '../../platform/platform.ts'
import { datastoreView, versionView, visibleVersions } from '../view.ts'

type ApiCall = Call<unknown, Platform>

/** `GET /datastores`. Members see only those that have an active version. */
export async function listDatastores(call: ApiCall): Promise<Reply> {
  const datastores = (await existingDatastores(call)).map(datastore => datastoreView(datastore, call))
  return { status: 200, body: { datastores: datastores.filter(({ versions }) => call.admin || versions.length > 0) } }
}

/** `GET /datastores/{datastore}`. */
export async function showDatastore(call: ApiCall): Promise<Reply> {
  return { status: 200, body: { datastore: datastoreView(await datastoreInPath(call), call) } }
}

/** `GET /datastores/{datastore}/versions`. */
export async function listVersions(call: ApiCall): Promise<Reply> {
  const datastore = await datastoreInPath(call)
  const versions = visibleVersions(datastore, call).map(version => fullView(call, datastore, version))
  return { status: 200, body: { versions } }
}

/** `GET /datastores/versions/{version}`, by id. */
export async function showVersionById(call: ApiCall): Promise<Reply> {
  return versionReply(call, await existingDatastores(call))
}

/** `GET /datastores/{datastore}/versions/{version}`. */
export async function showVersion(call: ApiCall): Promise<Reply> {
  return versionReply(call, [await datastoreInPath(call)])
}

/** `GET /datastores/{datastore}/versions/{version}/flavors`. Every version supports all flavors. */
export async function listVersionFlavors(call: ApiCall): Promise<Reply> {
  versionInPath(call, [await datastoreInPath(call)])
  return { status: 200, body: { flavors: FLAVORS.map(flavor => flavorView(flavor, call)) } }
}

/** `GET /datastores/{datastore}/versions/{version}/volume-types`. There are none to choose from. */
export async function listVolumeTypes(call: ApiCall): Promise<Reply> {
  versionInPath(call, [await datastoreInPath(call)])
  return { status: 200, body: { volume_types: [] } }
}

async function existingDatastores({ deps }: ApiCall): Promise<Datastore[]> {
  return (await allDatastores(deps)).map(({ body }) => body).filter(({ deleted }) => !deleted)
}

async function datastoreInPath({ deps, params }: ApiCall): Promise<Datastore> {
  return datastoreNamed(await allDatastores(deps), params['datastore'] ?? '').body
}

/** The path's version, if the caller may see it. Throws 400, not 404, as Trove does. */
function versionInPath(call: ApiCall, datastores: Datastore[]): { datastore: Datastore; version: Version } {
  const ref = call.params['version'] ?? ''
  for (const datastore of datastores) {
    const [version] = versionsNamed(
      call.deps.datastores,
      { ...datastore, versions: visibleVersions(datastore, call) },
      ref,
    )
    if (version) return { datastore, version }
  }
  throw badRequest(`Datastore version '${truncate(ref)}' cannot be found.`)
}

function versionReply(call: ApiCall, datastores: Datastore[]): Reply {
  const { datastore, version } = versionInPath(call, datastores)
  return { status: 200, body: { version: fullView(call, datastore, version) } }
}

const fullView = (call: ApiCall, datastore: Datastore, version: Version) => ({
  ...versionView(datastore, version, call),
  datastore: datastore.id,
})
