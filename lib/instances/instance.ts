import type { ServiceStatus } from '../contracts/conductor.ts'
import { cut, notFound, unprocessable } from '../kit/errors.ts'
import { kind, retrying, type Stored } from '../kit/records.ts'
import { UUID } from '../kit/uuid.ts'
import type { OperationRef } from '../operations/operation.ts'
import type { Facts } from '../platform/compute/compute.ts'
import type { Platform } from '../platform/platform.ts'
import type { Change, Store } from '../platform/store/store.ts'

/** What is being done with an instance; the last ones are errors that stay until it is deleted or reset. */
export type Task =
  | 'NONE'
  | 'BUILDING'
  | 'DELETING'
  | 'REBOOTING'
  | 'RESIZING'
  | 'UPGRADING'
  | 'UPDATING'
  | 'BUILDING_ERROR_VOLUME'
  | 'BUILDING_ERROR_SERVER'
  | 'BUILDING_ERROR_TIMEOUT_GA'

/** An instance: what was asked for, and every fact that its status word needs. Times are milliseconds since the epoch. */
export interface Instance {
  id: string
  project: string
  name: string
  created: number
  updated: number
  generation: number
  flavor: string
  /** `generation` is the one that it was made in; it outlives the servers of later ones. */
  volume: { sizeGb: number; type?: string; used?: number; generation?: number }
  /** `engine`: by which name machines have it; that of the version unless an admin made that. */
  datastore: { type: string; manager: string; versionId: string; versionName: string; version: string; engine?: string }
  region?: string
  locality?: string
  access?: { is_public?: boolean | undefined; allowed_cidrs?: string[] | undefined }
  task: Task
  /** Its ram and volume were returned to the quota: they are gone although it is still here. */
  gaveBack?: boolean
  operation?: OperationRef
  /** The operation that `operation` makes turn round: reports of the machine ring it too. */
  preempted?: OperationRef
  fault?: { message: string; created: number; details: string | null }
  /** `fault` as a report told it: what an action left as the instance's is no report's to take away. */
  server?: Pick<Facts, 'status' | 'addresses' | 'fault'>
  /** What the agent said last, and when. */
  service?: { status: ServiceStatus; at: number; sent: number; message?: string; lease?: number }
}

export const instances = kind<Instance>('instance')

/** Points from an instance's id to its project, so that a report or an admin finds it by id alone. */
export const pointers = kind<{ project: string }>('id')

/** An agent silent for longer is shown as ERROR, without storing it; one that reports more seldom than once a minute, later. */
export const HEARTBEAT_EXPIRY_MS = 150_000
const MINUTE_MS = 60_000

/** The names of an instance's machine parts, never reused: they carry the generation. */
export const serverName = (id: string, generation: number) => `server-${id}-${generation}`
export const volumeName = (id: string, generation: number) => `volume-${id}-${generation}`

export const volumeOf = ({ id, volume }: Pick<Instance, 'id' | 'volume'>) => volumeName(id, volume.generation ?? 1)
export const serverOf = ({ id, generation }: Pick<Instance, 'id' | 'generation'>) => serverName(id, generation)

/** UPDATING does not show. */
const BY_TASK: Partial<Record<Task, string>> = {
  BUILDING: 'BUILD',
  DELETING: 'SHUTDOWN',
  REBOOTING: 'REBOOT',
  RESIZING: 'RESIZE',
  UPGRADING: 'UPGRADE',
}
const BY_SERVER: Record<Facts['status'], string> = {
  ACTIVE: 'ACTIVE',
  BUILD: 'BUILD',
  ERROR: 'ERROR',
  SHUTDOWN: 'SHUTDOWN',
  GONE: 'SHUTDOWN',
}

/** The word that the API shows: one pure table over the facts, the first match wins. */
export function statusOf({ task, server }: Pick<Instance, 'task' | 'server'>): string {
  if (task.includes('ERROR')) return 'ERROR'
  if (task === 'BUILDING' && server?.status === 'ERROR') return 'ERROR'
  if (task === 'DELETING' && server && !['ACTIVE', 'SHUTDOWN', 'GONE'].includes(server.status)) return 'ERROR'
  return BY_TASK[task] ?? (server ? BY_SERVER[server.status] : 'SHUTDOWN')
}

const BY_SERVICE: Record<ServiceStatus, string> = {
  new: 'NEW',
  building: 'BUILD',
  running: 'ACTIVE',
  healthy: 'HEALTHY',
  shutdown: 'SHUTDOWN',
  crashed: 'SHUTDOWN',
  failed: 'FAILED',
  restarting: 'RESTARTING',
}

/** The agent's word, while no task runs on a live server; ERROR once it has been silent for too long. */
export function operatingStatusOf(instance: Pick<Instance, 'task' | 'server' | 'service'>, now: number): string {
  const { task, server, service } = instance
  if (task !== 'NONE' || server?.status !== 'ACTIVE') return ''
  // Its agent has not been heard since the status was reset: unknown, as in Trove.
  if (!service) return 'ERROR'
  const expiry = (HEARTBEAT_EXPIRY_MS * Math.max(service.lease ?? 0, MINUTE_MS)) / MINUTE_MS
  return now - service.at > expiry ? 'ERROR' : BY_SERVICE[service.status]
}

/** The agent's last word as Trove shows it, whatever else is so. */
export const serviceStatusOf = ({ service }: Pick<Instance, 'service'>): string => BY_SERVICE[service?.status ?? 'new']

/** The instance of the caller's project, or any for an admin. Throws 404. */
export async function findInstance(
  platform: Pick<Platform, 'store'>,
  caller: { project: string; admin: boolean },
  id: string,
): Promise<Stored<Instance>> {
  if (!UUID.test(id)) throw notFound(`Resource ${cut(id)} cannot be found.`)
  const own = await instances.get(platform.store, caller.project, id)
  const found = own ?? (caller.admin ? await instanceById(platform.store, id) : undefined)
  if (!found) throw notFound(`Resource ${id} cannot be found.`)
  return found
}

/** The instance with this id in whatever project: for reports and admins only. */
export async function instanceById(store: Store, id: string): Promise<Stored<Instance> | undefined> {
  const pointer = await pointers.get(store, '*', id)
  return pointer && instances.get(store, pointer.body.project, id)
}

/** Changes the instance by what `change` answers, together with `more`; nothing happens if it is gone or `change` answers undefined. */
export async function changeInstance(
  platform: Pick<Platform, 'store'>,
  project: string,
  id: string,
  change: (instance: Instance) => Instance | undefined,
): Promise<Instance | undefined> {
  return retrying(platform.store, async () => {
    const item = await instances.get(platform.store, project, id)
    const body = item && change(item.body)
    const changes: Change[] = item && body ? [instances.replace(item, body)] : []
    return { changes, result: body }
  })
}

/** States of the database in which something may be done with its instance. One that was given up may be restarted. */
const WORKABLE: (ServiceStatus | undefined)[] = ['running', 'healthy', 'shutdown', 'crashed', 'failed']

/** An action needs an active server, a known database, and that nothing else is being done. Throws 422. */
export function assertAvailable(instance: Instance): void {
  if (!instance.server) throw unprocessable(`Instance ${instance.id} is not ready.`)
  assertIdle(instance)
  const { server, service, task } = instance
  if (task !== 'NONE') throw unavailable(instance, `task status was ${task}`)
  if (server.status !== 'ACTIVE') throw unavailable(instance, `instance status was ${server.status}`)
  if (!WORKABLE.includes(service?.status)) throw unavailable(instance, `instance status was ${service?.status}`)
}

/** Nothing else is being done with the instance. Throws 422. */
export function assertIdle(instance: Instance): void {
  const { task, operation } = instance
  if (operation || task === 'DELETING') throw unavailable(instance, `task status was ${task}`)
}

/** It has a server, and nothing else is being done with it. Throws 422. */
export function assertServer(instance: Instance): void {
  assertIdle(instance)
  const { id, server } = instance
  // A lost one can be rebuilt only.
  if (!server || server.status === 'GONE') throw unprocessable(`Instance ${id} is not ready.`)
}

const unavailable = ({ id }: Instance, why: string) =>
  unprocessable(`Instance ${id} is not currently available for an action to be performed (${why}).`)

/** Databases, users and root can be managed only while the server runs. Throws 422. */
export function assertServing(instance: Instance): void {
  const status = instance.service?.status
  if (instance.task === 'NONE' && (status === 'running' || status === 'healthy')) return
  const why =
    instance.task === 'NONE' ? `instance status was ${status ?? 'unknown'}` : `task status was ${instance.task}`
  throw unavailable(instance, why)
}
