import type { Datastores } from '../datastores/manifest.ts'
import { selfLinks } from '../kit/http/paging.ts'
import { timestamp } from '../kit/time.ts'
import { manifestOf } from '../model/catalog.ts'
import { type Instance, isBusyOrBroken, serverOf, volumeOf } from '../model/instance.ts'
import { operatingStatusOf, statusOf } from '../model/instance-status.ts'
import type { Platform } from '../platform/platform.ts'
import { OPERATION_STATUSES } from '../trove/operations.ts'

/** Who looks at an instance. */
interface Viewer {
  baseUrl: string
  /** The project in the caller's path, for links. */
  project: string
  admin: boolean
  now: number
  deps: Pick<Platform, 'datastores'>
}

const GIB = 1024 ** 3

/** An instance as a list shows it. */
export function summary(instance: Instance, viewer: Viewer) {
  const { baseUrl, project, admin, now, deps } = viewer
  const addresses = instance.server?.addresses ?? []
  return {
    id: instance.id,
    name: instance.name,
    status: statusOf(instance),
    operating_status: operatingStatusOf(instance, now),
    links: selfLinks(baseUrl, project, `instances/${instance.id}`),
    flavor: { id: instance.flavor, links: selfLinks(baseUrl, project, `flavors/${instance.flavor}`) },
    volume: { size: instance.volume.sizeGb },
    datastore: { type: instance.datastore.type, version: instance.datastore.versionName },
    region: instance.region ?? 'RegionOne',
    access: instance.access ?? {},
    ...(addresses.length > 0 && {
      ip: addresses.map(({ address }) => address),
      addresses: reachable(addresses, instance.access).map(address => addressView(deps.datastores, address, instance)),
    }),
    ...(admin && { tenant_id: instance.project }),
  }
}

/** An instance as show, create and the detailed list show it. */
export function detail(instance: Instance, viewer: Viewer) {
  const base = summary(instance, viewer)
  const { agentReport, volume } = instance
  const fault = instance.fault ?? serviceFault(instance)
  return {
    ...base,
    created: timestamp(instance.created),
    updated: timestamp(instance.updated),
    service_status_updated: timestamp(agentReport?.at ?? instance.created),
    datastore: { ...base.datastore, version_number: instance.datastore.version },
    volume: { ...base.volume, ...(!OPERATION_STATUSES.has(base.status) && usage(volume)) },
    ...(fault && {
      fault: { ...fault, created: timestamp(fault.created), details: viewer.admin ? fault.details : null },
    }),
    ...(instance.locality !== undefined && { locality: instance.locality }),
    ...(viewer.admin && {
      server_id: serverOf(instance),
      volume_id: volumeOf(instance),
      encrypted_rpc_messaging: true,
    }),
  }
}

/** What is wrong with the database, as its agent reported: the first line for everybody, the rest for admins. */
function serviceFault(instance: Instance): Instance['fault'] {
  const { agentReport } = instance
  if (isBusyOrBroken(instance) || agentReport?.message === undefined) return undefined
  const [message = '', ...rest] = agentReport.message.split('\n')
  return { message, created: agentReport.at, details: rest.length > 0 ? rest.join('\n') : null }
}

function usage({ used, sizeGb }: Instance['volume']) {
  if (used === undefined) return {}
  return { used: round(used / GIB), used_percent: round((100 * used) / (sizeGb * GIB)) }
}

const round = (value: number) => Math.round(value * 100) / 100

type Address = NonNullable<NonNullable<Instance['server']>['addresses']>[number]

/** The addresses by where they are reached from. Those of a public instance are reached from outside too. */
const reachable = (addresses: Address[], access: Instance['access']): Address[] => [
  ...addresses,
  ...(access?.is_public ? addresses.map(address => ({ ...address, type: 'public' as const })) : []),
]

/** The port is shown if it is not the datastore's standard one. */
const addressView = (
  registry: Datastores,
  { address, port, type }: { address: string; port: number; type: string },
  { datastore }: Pick<Instance, 'datastore'>,
) => (port === manifestOf(registry, datastore.manager).port ? { address, type } : { address, type, port })
