import type { Call, Mutation } from '../../kit/http/route.ts'
import type { Version } from '../../model/datastore.ts'
import type { Platform } from '../../platform/platform.ts'
import {
  assertEngineExists,
  assertUnique,
  changeCatalog,
  findVersion,
  saveChanges,
  withDefault,
  withPreferred,
} from '../save.ts'
import type { VersionChange } from '../version-body.ts'

/** `PATCH /mgmt/datastore-versions/{id}`. Existing instances keep their engine. */
export async function changeVersion({ deps, body, params }: Call<VersionChange, Platform>): Promise<Mutation> {
  return changeCatalog(deps, catalog => {
    const { item, version } = findVersion(catalog, params['id'] ?? '')
    const changed = applyChange(version, body)
    assertEngineExists(deps.datastores, changed)
    const others = item.body.versions.filter(({ id }) => id !== version.id)
    assertUnique(deps.datastores, { versions: others }, changed)
    const versions = item.body.versions.map(each => (each.id === version.id ? changed : each))
    const datastore = withDefault({ ...item.body, versions }, version.id, body.default)
    return saveChanges(catalog, item, withPreferred(datastore, body.default_datastore))
  })
}

function applyChange(version: Version, change: VersionChange): Version {
  const { name, datastore_manager: manager, image, image_tags: tags, packages, active } = change
  return {
    ...version,
    ...(name !== undefined && { name }),
    ...(manager !== undefined && { manager }),
    ...(active !== undefined && { active }),
    ...(packages && { packages }),
    ...(tags && { imageTags: tags }),
    // Tags without an image replace the image.
    ...(tags && tags.length > 0 && { image: '' }),
    ...(image && { image }),
    ...(change.registry_ext !== undefined && { registryExt: change.registry_ext }),
    ...(change.repl_strategy !== undefined && { replStrategy: change.repl_strategy }),
  }
}
