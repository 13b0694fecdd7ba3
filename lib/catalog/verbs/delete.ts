import { badRequest } from '../../kit/errors.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { sagas } from '../../kit/saga/saga.ts'
import { allDatastores, datastoreNamed } from '../../model/catalog.ts'
import { datastores } from '../../model/datastore.ts'
import { type Instance, instances } from '../../model/instance.ts'
import type { Platform } from '../../platform/platform.ts'
import type { Store } from '../../ports/store.ts'
import { changeCatalog, findVersion, saveChanges, withDefault } from '../save.ts'

/** `DELETE /mgmt/datastore-versions/{id}`. Throws 400 while an instance uses the version. */
export async function deleteVersion({ deps, params }: Call<unknown, Platform>): Promise<Mutation> {
  const id = params['id'] ?? ''
  findVersion(await allDatastores(deps), id)
  if (await inUse(deps.store, id)) throw badRequest('Datastore version is in use by instance.')
  return changeCatalog(deps, catalog => {
    const { item } = findVersion(catalog, id)
    const versions = item.body.versions.filter(version => version.id !== id)
    return saveChanges(catalog, item, withDefault({ ...item.body, versions }, id, false))
  })
}

/** `DELETE /datastores/{datastore}`. Throws 400 while it has versions. */
export async function deleteDatastore({ deps, params }: Call<unknown, Platform>): Promise<Mutation> {
  return changeCatalog(deps, catalog => {
    const item = datastoreNamed(catalog, params['datastore'] ?? '')
    const { id, name, versions, seeded } = item.body
    if (versions.length > 0) throw badRequest(`Datastore '${name}' has versions; delete them first.`)
    if (seeded.length === 0) return [datastores.remove(item)]
    // The record stays, so that the datastore is not seeded again.
    return [datastores.replace(item, { id, name, versions: [], seeded, deleted: true })]
  })
}

/** Whether any instance has the version or is being upgraded to it. Reads them all, as this request is rare. */
async function inUse(store: Store, version: string): Promise<boolean> {
  for (let after: string | undefined; ; ) {
    const page = await instances.all(store, { limit: 500, ...(after !== undefined && { after }) })
    for (const { body } of page.items) {
      if (body.datastore.versionId === version || (await upgradesTo(store, body)) === version) return true
    }
    if (page.next === undefined) return false
    after = page.next
  }
}

/** The id of the version that the instance is being upgraded to. */
async function upgradesTo(store: Store, { project, operation }: Instance): Promise<unknown> {
  if (operation?.name !== 'upgrade') return undefined
  const running = await sagas.get(store, project, operation.id)
  return Object(Object(running?.body.request).to).versionId
}
