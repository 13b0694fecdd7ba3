import { ACCEPTED, ok, type Route, route, routeWithBody } from '../kit/http/route.ts'
import { FlavorList } from '../model/flavor-view.ts'
import type { Platform } from '../platform/platform.ts'
import {
  AdminVersionAnswer,
  AdminVersionList,
  DatastoreAnswer,
  DatastoreList,
  VersionAnswer,
  VersionList,
  VolumeTypes,
} from './schemas.ts'
import { changeVersion } from './verbs/change-version.ts'
import { createVersion } from './verbs/create-version.ts'
import { deleteDatastore, deleteVersion } from './verbs/delete.ts'
import {
  listDatastores,
  listVersionFlavors,
  listVersions,
  listVolumeTypes,
  showDatastore,
  showVersion,
  showVersionById,
} from './verbs/read.ts'
import { listAllVersions, showAnyVersion } from './verbs/read-all-versions.ts'
import { NewVersion, VersionChange } from './version-body.ts'

const readRoutes: Route<Platform>[] = [
  route(
    { method: 'GET', suffix: true, path: '/datastores', summary: 'List datastores', response: ok(DatastoreList) },
    listDatastores,
  ),
  route(
    {
      method: 'GET',
      suffix: true,
      path: '/datastores/{datastore}',
      summary: 'Show a datastore',
      response: ok(DatastoreAnswer),
    },
    showDatastore,
  ),
  route(
    {
      method: 'GET',
      suffix: true,
      path: '/datastores/{datastore}/versions',
      summary: "List a datastore's versions",
      response: ok(VersionList),
    },
    listVersions,
  ),
  route(
    {
      method: 'GET',
      suffix: true,
      path: '/datastores/versions/{version}',
      summary: 'Show a version by its id',
      response: ok(VersionAnswer),
    },
    showVersionById,
  ),
  route(
    {
      method: 'GET',
      suffix: true,
      path: '/datastores/{datastore}/versions/{version}',
      summary: 'Show a version',
      response: ok(VersionAnswer),
    },
    showVersion,
  ),
  route(
    {
      method: 'GET',
      suffix: true,
      path: '/datastores/{datastore}/versions/{version}/flavors',
      summary: 'List flavors for a version',
      response: ok(FlavorList),
    },
    listVersionFlavors,
  ),
  route(
    {
      method: 'GET',
      suffix: true,
      path: '/datastores/{datastore}/versions/{version}/volume-types',
      summary: 'List volume types for a version',
      response: ok(VolumeTypes),
    },
    listVolumeTypes,
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

const managementRoutes: Route<Platform>[] = [
  route(
    {
      ...admin,
      method: 'DELETE',
      suffix: true,
      path: '/datastores/{datastore}',
      summary: 'Delete a datastore',
      response: ACCEPTED,
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
      response: ok(AdminVersionList),
    },
    listAllVersions,
  ),
  routeWithBody(
    {
      ...admin,
      method: 'POST',
      suffix: true,
      path: MANAGED,
      summary: 'Create a datastore version',
      body: NewVersion,
      response: ACCEPTED,
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
      response: ok(AdminVersionAnswer),
    },
    showAnyVersion,
  ),
  routeWithBody(
    {
      ...admin,
      method: 'PATCH',
      suffix: true,
      path: `${MANAGED}/{id}`,
      summary: 'Change a datastore version',
      response: ACCEPTED,
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
      response: ACCEPTED,
    },
    deleteVersion,
  ),
]

export const routes: Route<Platform>[] = [...readRoutes, ...managementRoutes]
