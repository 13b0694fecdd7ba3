import type { Call, Reply } from '../../kit/http/route.ts'
import { allDatastores } from '../../model/catalog.ts'
import type { Platform } from '../../platform/platform.ts'
import { findVersion } from '../save.ts'
import { adminVersionView } from '../view.ts'

/** `GET /mgmt/datastore-versions`. */
export async function listAllVersions({ deps }: Call<unknown, Platform>): Promise<Reply> {
  const datastores = (await allDatastores(deps)).map(({ body }) => body).filter(({ deleted }) => !deleted)
  const versions = datastores.flatMap(datastore =>
    datastore.versions.map(version => adminVersionView(deps.datastores, datastore, version)),
  )
  return { status: 200, body: { versions } }
}

/** `GET /mgmt/datastore-versions/{id}`. */
export async function showAnyVersion({ deps, params }: Call<unknown, Platform>): Promise<Reply> {
  const { item, version } = findVersion(await allDatastores(deps), params['id'] ?? '')
  return { status: 200, body: { version: adminVersionView(deps.datastores, item.body, version) } }
}
