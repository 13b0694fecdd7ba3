import { type Instance, instances } from '../instances/instance.ts'
import { badRequest, cut } from '../kit/errors.ts'
import { assertStorable } from '../kit/http/parse.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import { retrying, type Stored } from '../kit/records.ts'
import { sagas } from '../kit/saga/saga.ts'
import type { Platform } from '../platform/platform.ts'
import type { Change, Store } from '../platform/store/store.ts'
import type { NewVersion, VersionChange } from './body.ts'
import { allDatastores, datastoreNamed, engineOf, MOST, manifestOf, numberOf } from './catalog.ts'
import { type Datastore, datastores, NO_PROJECT, type Version } from './datastore.ts'

type All = Stored<Datastore>[]
type Deps = Pick<Platform, 'store'>

/** The version with this id, and its datastore. Throws 400, not 404, as Trove. */
export function managedVersion(all: All, id: string): { item: Stored<Datastore>; version: Version } {
  for (const item of all) {
    const version = item.body.versions.find(each => each.id === id)
    if (version) return { item, version }
  }
  throw badRequest(`Datastore version '${cut(id)}' cannot be found.`)
}

/** `POST /mgmt/datastore-versions`: makes a version, and its datastore where there is none of that name. */
export async function createVersion({ deps, body }: Call<{ version: NewVersion }, Platform>): Promise<Reply> {
  const wanted = body.version
  const version: Version = {
    id: deps.random.uuid(),
    name: wanted.name,
    ...(wanted.version && { number: wanted.version }),
    manager: wanted.datastore_manager,
    image: wanted.image ?? '',
    imageTags: wanted.image_tags ?? [],
    packages: wanted.packages ?? [],
    active: wanted.active,
    registryExt: wanted.registry_ext ?? null,
    replStrategy: wanted.repl_strategy ?? null,
  }
  assertEngine(version)
  return changing(deps, all => {
    const ref = wanted.datastore_name
    const item = all.find(({ body: { id, name, deleted } }) => name === ref || (id === ref && !deleted))
    const datastore = item && !item.body.deleted ? item.body : newDatastore(deps, ref, item)
    assertNew(datastore, version)
    if (!item && all.length >= MOST) throw badRequest(`There are ${MOST} datastores already.`)
    const after = withDefault({ ...datastore, versions: [...datastore.versions, version] }, version.id, wanted.default)
    return changes(all, item, preferring(after, wanted.default_datastore))
  })
}

const newDatastore = ({ random }: Pick<Platform, 'random'>, name: string, old: Stored<Datastore> | undefined) => {
  const datastore: Datastore = { id: random.uuid(), name, versions: [], seeded: old?.body.seeded ?? [] }
  return datastore
}

/** `PATCH /mgmt/datastore-versions/{id}`. What runs already keeps its engine. */
export async function changeVersion({ deps, body, params }: Call<VersionChange, Platform>): Promise<Reply> {
  return changing(deps, all => {
    const { item, version } = managedVersion(all, params['id'] ?? '')
    const changed = changedVersion(version, body)
    assertEngine(changed)
    const others = { ...item.body, versions: item.body.versions.filter(({ id }) => id !== version.id) }
    assertNew(others, changed)
    const versions = item.body.versions.map(each => (each.id === version.id ? changed : each))
    const after = withDefault({ ...item.body, versions }, version.id, body.default)
    return changes(all, item, preferring(after, body.default_datastore))
  })
}

function changedVersion(version: Version, change: VersionChange): Version {
  const { name, datastore_manager: manager, image, image_tags: tags, packages, active } = change
  return {
    ...version,
    ...(name !== undefined && { name }),
    ...(manager !== undefined && { manager }),
    ...(active !== undefined && { active }),
    ...(packages && { packages }),
    ...(tags && { imageTags: tags }),
    // Tags without an image: the image that was named no longer counts.
    ...(tags && tags.length > 0 && { image: '' }),
    ...(image && { image }),
    ...(change.registry_ext !== undefined && { registryExt: change.registry_ext }),
    ...(change.repl_strategy !== undefined && { replStrategy: change.repl_strategy }),
  }
}

/** `DELETE /mgmt/datastore-versions/{id}`. Throws 400 while an instance uses it. */
export async function deleteVersion({ deps, params }: Call<unknown, Platform>): Promise<Reply> {
  const id = params['id'] ?? ''
  managedVersion(await allDatastores(deps), id)
  if (await inUse(deps.store, id)) throw badRequest('Datastore version is in use by instance.')
  return changing(deps, all => {
    const { item } = managedVersion(all, id)
    const versions = item.body.versions.filter(version => version.id !== id)
    return changes(all, item, withDefault({ ...item.body, versions }, id, false))
  })
}

/** `DELETE /datastores/{datastore}`. Throws 400 while it has versions. */
export async function deleteDatastore({ deps, params }: Call<unknown, Platform>): Promise<Reply> {
  return changing(deps, all => {
    const item = datastoreNamed(all, params['datastore'] ?? '')
    const { id, name, versions, seeded } = item.body
    if (versions.length > 0) throw badRequest(`Datastore '${name}' has versions; delete them first.`)
    if (seeded.length === 0) return [datastores.remove(item)]
    return [datastores.replace(item, { id, name, versions: [], seeded, deleted: true })]
  })
}

/** Whether an instance of any project is, or is to be, of the version: rare enough to look at them all. */
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

/** The id of the version that the instance gets now. */
async function upgradesTo(store: Store, { project, operation }: Instance): Promise<unknown> {
  if (operation?.name !== 'upgrade') return undefined
  const running = await sagas.get(store, project, operation.id)
  return Object(Object(running?.body.request).to).versionId
}

async function changing(deps: Deps, decide: (all: All) => Change[]): Promise<Reply> {
  await retrying(deps.store, async () => ({ changes: decide(await allDatastores(deps)), result: undefined }))
  return { status: 202 }
}

function assertEngine(version: Version): void {
  const { manager, image, imageTags } = version
  manifestOf(manager)
  if (!image && imageTags.length === 0) throw badRequest('Image must be specified.')
  if (!engineOf(version)) throw badRequest(`Image ${cut(image || imageTags.join(', '))} cannot be found.`)
}

function assertNew({ versions }: Datastore, version: Version): void {
  const number = numberOf(version)
  if (!versions.some(other => other.name === version.name && numberOf(other) === number)) return
  throw badRequest(`The datastore version with name '${cut(version.name)}'(version: ${cut(number)}) already exists.`)
}

/** With that version as the default one (true), no longer so (false), or unchanged. */
function withDefault(datastore: Datastore, id: string, byDefault: boolean | null | undefined): Datastore {
  const { defaultVersion, ...rest } = datastore
  if (byDefault) return { ...rest, defaultVersion: id }
  return byDefault === false && defaultVersion === id ? rest : datastore
}

const preferring = (datastore: Datastore, preferred: boolean | null | undefined): Datastore =>
  typeof preferred === 'boolean' ? { ...datastore, preferred } : datastore

/** The changes that store a datastore; there is one preferred one at most. */
function changes(all: All, item: Stored<Datastore> | undefined, datastore: Datastore): Change[] {
  assertStorable(datastore)
  const others = all.filter(other => other !== item && other.body.preferred && datastore.preferred)
  return [
    item ? datastores.replace(item, datastore) : datastores.create(NO_PROJECT, datastore.name, datastore),
    ...others.map(other => datastores.replace(other, { ...other.body, preferred: false })),
  ]
}
