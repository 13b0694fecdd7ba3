import { manifestOf } from '../datastores/catalog.ts'
import { linksOf } from '../kit/http/paging.ts'
import { timestamp } from '../kit/time.ts'
import { type Instance, operatingStatusOf, serverOf, statusOf, volumeOf } from './instance.ts'

/** For whom an instance is shown. */
export interface Viewer {
  base: string
  /** The project of the caller's path: links carry it. */
  project: string
  admin: boolean
  now: number
}

/** States in which the use of the volume is not shown. */
const NO_USAGE = ['BUILD', 'REBOOT', 'RESIZE', 'PROMOTE', 'EJECT', 'UPGRADE', 'SHUTDOWN']
const GIB = 1024 ** 3

/** An instance as a list shows it. */
export function summary(instance: Instance, viewer: Viewer) {
  const { base, project, admin, now } = viewer
  const addresses = instance.server?.addresses ?? []
  return {
    id: instance.id,
    name: instance.name,
    status: statusOf(instance),
    operating_status: operatingStatusOf(instance, now),
    links: linksOf(base, project, `instances/${instance.id}`),
    flavor: { id: instance.flavor, links: linksOf(base, project, `flavors/${instance.flavor}`) },
    volume: { size: instance.volume.sizeGb },
    datastore: { type: instance.datastore.type, version: instance.datastore.versionName },
    region: instance.region ?? 'RegionOne',
    access: instance.access ?? {},
    ...(addresses.length > 0 && {
      ip: addresses.map(({ address }) => address),
      addresses: reachable(addresses, instance.access).map(one => addressView(one, instance)),
    }),
    ...(admin && { tenant_id: instance.project }),
  }
}

/** An instance as show, create and the detailed list show it. */
export function detail(instance: Instance, viewer: Viewer) {
  const shown = summary(instance, viewer)
  const { service, volume } = instance
  const fault = instance.fault ?? serviceFault(instance)
  return {
    ...shown,
    created: timestamp(instance.created),
    updated: timestamp(instance.updated),
    service_status_updated: timestamp(service?.at ?? instance.created),
    datastore: { ...shown.datastore, version_number: instance.datastore.version },
    volume: { ...shown.volume, ...(!NO_USAGE.includes(shown.status) && usage(volume)) },
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

/** Why the database does not serve, as its agent told: the first line for everybody, the rest for admins. */
function serviceFault({ task, service }: Instance): Instance['fault'] {
  const ill = service?.status === 'failed' || service?.status === 'crashed'
  if (task !== 'NONE' || !ill || service.message === undefined) return undefined
  const [message = '', ...rest] = service.message.split('\n')
  return { message, created: service.at, details: rest.length > 0 ? rest.join('\n') : null }
}

function usage({ used, sizeGb }: Instance['volume']) {
  if (used === undefined) return {}
  return { used: round(used / GIB), used_percent: round((100 * used) / (sizeGb * GIB)) }
}

const round = (value: number) => Math.round(value * 100) / 100

type Address = NonNullable<NonNullable<Instance['server']>['addresses']>[number]

/** The addresses by the side they are reached from: a public instance's are reached from outside, too. */
const reachable = (addresses: Address[], access: Instance['access']): Address[] => [
  ...addresses,
  ...(access?.is_public ? addresses.map(one => ({ ...one, type: 'public' as const })) : []),
]

/** The port is shown where it is not the datastore's own. */
const addressView = (
  { address, port, type }: { address: string; port: number; type: string },
  { datastore }: Pick<Instance, 'datastore'>,
) => (port === manifestOf(datastore.manager).port ? { address, type } : { address, type, port })
