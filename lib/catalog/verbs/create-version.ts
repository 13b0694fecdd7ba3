import { badRequest } from '../../kit/errors.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import type { Stored } from '../../kit/records.ts'
import { MAX_DATASTORES } from '../../model/catalog.ts'
import type { Datastore, Version } from '../../model/datastore.ts'
import type { Platform } from '../../platform/platform.ts'
import { assertEngineExists, assertUnique, changeCatalog, saveChanges, withDefault, withPreferred } from '../save.ts'
import type { NewVersion } from '../version-body.ts'

/** `POST /mgmt/datastore-versions`: creates a version, and its datastore if there is none with that name. */
export async function createVersion({ deps, body }: Call<{ version: NewVersion }, Platform>): Promise<Mutation> {
  const spec = body.version
  const version = newVersion(deps, spec)
  assertEngineExists(deps.datastores, version)
  return changeCatalog(deps, catalog => {
    const ref = spec.datastore_name
    const item = catalog.find(({ body: { id, name, deleted } }) => name === ref || (id === ref && !deleted))
    const datastore = item && !item.body.deleted ? item.body : newDatastore(deps, ref, item)
    assertUnique(deps.datastores, datastore, version)
    if (!item && catalog.length >= MAX_DATASTORES) {
      throw badRequest(`There are ${MAX_DATASTORES} datastores already.`)
    }
    const withVersion = { ...datastore, versions: [...datastore.versions, version] }
    const changed = withDefault(withVersion, version.id, spec.default)
    return saveChanges(catalog, item, withPreferred(changed, spec.default_datastore))
  })
}

const newVersion = ({ random }: Pick<Platform, 'random'>, spec: NewVersion): Version => ({
  id: random.uuid(),
  name: spec.name,
  ...(spec.version && { number: spec.version }),
  manager: spec.datastore_manager,
  image: spec.image ?? '',
  imageTags: spec.image_tags ?? [],
  packages: spec.packages ?? [],
  active: spec.active,
  registryExt: spec.registry_ext ?? null,
  replStrategy: spec.repl_strategy ?? null,
})

/** A datastore that replaces a deleted one keeps its list of seeded versions, so that they are not added again. */
function newDatastore(
  { random }: Pick<Platform, 'random'>,
  name: string,
  deleted: Stored<Datastore> | undefined,
): Datastore {
  return { id: random.uuid(), name, versions: [], seeded: deleted?.body.seeded ?? [] }
}
