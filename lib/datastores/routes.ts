import { FLAVORS } from '../flavors/flavor.ts'
import { FlavorList } from '../flavors/schemas.ts'
import { flavorView } from '../flavors/view.ts'
import { badRequest, cut } from '../kit/errors.ts'
import { ACCEPTED, bodied, type Call, ok, type Route, route } from '../kit/http/route.ts'
import type { Stored } from '../kit/records.ts'
import type { Platform } from '../platform/platform.ts'
import { NewVersion, VersionChange } from './body.ts'
import { allDatastores, datastoreNamed, versionsNamed } from './catalog.ts'
import type { Datastore, Version } from './datastore.ts'
import { changeVersion, createVersion, deleteDatastore, deleteVersion, managedVersion } from './manage.ts'
import {
  DatastoreAnswer,
  DatastoreList,
  ManagedVersionAnswer,
  ManagedVersionList,
  VersionAnswer,
  VersionList,
  VolumeTypes,
} from './schemas.ts'
import { datastoreView, managedView, versionView, visible } from './view.ts'

type ApiCall = Call<unknown, Platform>

async function theDatastore({ deps, params }: ApiCall): Promise<Datastore> {
  return datastoreNamed(await allDatastores(deps), params['datastore'] ?? '').body
}

/** The version named in the path, if the caller may see it. Real Trove answers 400, not 404, when there is none. */
function theVersion(call: ApiCall, among: Datastore[]): { datastore: Datastore; version: Version } {
  const ref = call.params['version'] ?? ''
  for (const datastore of among) {
    const [version] = versionsNamed({ ...datastore, versions: visible(datastore, call) }, ref)
    if (version) return { datastore, version }
  }
  throw badRequest(`Datastore version '${cut(ref)}' cannot be found.`)
}

const bodies = (all: Stored<Datastore>[]) => all.map(({ body }) => body).filter(({ deleted }) => !deleted)

const wholeView = (call: ApiCall, datastore: Datastore, version: Version) => ({
  ...versionView(datastore, version, call),
  datastore: datastore.id,
})

const shown = (call: ApiCall, { datastore, version }: ReturnType<typeof theVersion>) => ({
  version: wholeView(call, datastore, version),
})

const reading: Route<Platform>[] = [
  route(
    { method: 'GET', suffix: true, path: '/datastores', summary: 'List datastores', answers: ok(DatastoreList) },
    async call => {
      const all = bodies(await allDatastores(call.deps)).map(datastore => datastoreView(datastore, call))
      return { status: 200, body: { datastores: all.filter(({ versions }) => call.admin || versions.length > 0) } }
    },
  ),
  route(
    {
      method: 'GET',
      suffix: true,
      path: '/datastores/{datastore}',
      summary: 'Show a datastore',
      answers: ok(DatastoreAnswer),
    },
    async call => ({
      status: 200,
      body: { datastore: datastoreView(await theDatastore(call), call) },
    }),
  ),
  route(
    {
      method: 'GET',
      suffix: true,
      path: '/datastores/{datastore}/versions',
      summary: "List a datastore's versions",
      answers: ok(VersionList),
    },
    async call => {
      const datastore = await theDatastore(call)
      const versions = visible(datastore, call).map(version => wholeView(call, datastore, version))
      return { status: 200, body: { versions } }
    },
  ),
  route(
    {
      method: 'GET',
      suffix: true,
      path: '/datastores/versions/{version}',
      summary: 'Show a version by its id',
      answers: ok(VersionAnswer),
    },
    async call => ({
      status: 200,
      body: shown(call, theVersion(call, bodies(await allDatastores(call.deps)))),
    }),
  ),
  route(
    {
      method: 'GET',
      suffix: true,
      path: '/datastores/{datastore}/versions/{version}',
      summary: 'Show a version',
      answers: ok(VersionAnswer),
    },
    async call => ({ status: 200, body: shown(call, theVersion(call, [await theDatastore(call)])) }),
  ),
  route(
    {
      method: 'GET',
      suffix: true,
      path: '/datastores/{datastore}/versions/{version}/flavors',
      summary: 'List flavors for a version',
      answers: ok(FlavorList),
    },
    async call => {
      theVersion(call, [await theDatastore(call)])
      return { status: 200, body: { flavors: FLAVORS.map(flavor => flavorView(flavor, call)) } }
    },
  ),
  route(
    {
      method: 'GET',
      suffix: true,
      path: '/datastores/{datastore}/versions/{version}/volume-types',
      summary: 'List volume types for a version',
      answers: ok(VolumeTypes),
    },
    async call => {
      theVersion(call, [await theDatastore(call)])
      return { status: 200, body: { volume_types: [] } }
    },
  ),
]

const admin = { audience: 'admin' } as const
const MANAGED = '/mgmt/datastore-versions'

const EXAMPLE = {
  version: {
    datastore_name: 'postgresql',
    datastore_manager: 'postgresql',
    name: '17-lts',
    image: '17',
    active: true,
  },
}

const managing: Route<Platform>[] = [
  route(
    {
      ...admin,
      method: 'DELETE',
      suffix: true,
      path: '/datastores/{datastore}',
      summary: 'Delete a datastore',
      answers: ACCEPTED,
    },
    deleteDatastore,
  ),
  route(
    {
      ...admin,
      method: 'GET',
      suffix: true,
      path: MANAGED,
      summary: 'List every datastore version',
      answers: ok(ManagedVersionList),
    },
    async ({ deps }) => {
      const all = bodies(await allDatastores(deps))
      const versions = all.flatMap(datastore => datastore.versions.map(version => managedView(datastore, version)))
      return { status: 200, body: { versions } }
    },
  ),
  bodied(
    {
      ...admin,
      method: 'POST',
      suffix: true,
      path: MANAGED,
      summary: 'Create a datastore version',
      body: NewVersion,
      answers: ACCEPTED,
      example: EXAMPLE,
    },
    createVersion,
  ),
  route(
    {
      ...admin,
      method: 'GET',
      suffix: true,
      path: `${MANAGED}/{id}`,
      summary: 'Show a datastore version',
      answers: ok(ManagedVersionAnswer),
    },
    async ({ deps, params }) => {
      const { item, version } = managedVersion(await allDatastores(deps), params['id'] ?? '')
      return { status: 200, body: { version: managedView(item.body, version) } }
    },
  ),
  bodied(
    {
      ...admin,
      method: 'PATCH',
      suffix: true,
      path: `${MANAGED}/{id}`,
      summary: 'Change a datastore version',
      answers: ACCEPTED,
      example: { active: false },
      body: VersionChange,
    },
    changeVersion,
  ),
  route(
    {
      ...admin,
      method: 'DELETE',
      suffix: true,
      path: `${MANAGED}/{id}`,
      summary: 'Delete a datastore version',
      answers: ACCEPTED,
    },
    deleteVersion,
  ),
]

export const routes: Route<Platform>[] = [...reading, ...managing]
