import { z } from 'zod'
import type { ServiceStatus } from '../contracts/conductor.ts'
import { notFound, SubjectGone, truncate, unprocessable } from '../kit/errors.ts'
import { recordType, renameFields, type Stored, upgradeField, withOptimisticRetry } from '../kit/records.ts'
import { UUID } from '../kit/uuid.ts'
import type { Platform } from '../platform/platform.ts'
import type { MachineState } from '../ports/compute.ts'
import type { Change, Store } from '../ports/store.ts'
import type { OperationRef } from './operation.ts'

export { instanceSubject } from '../platform/instance-subject.ts'

/** What is being done with an instance. The last three are errors: they stay until it is deleted or reset. */
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

/** An instance's name: 1 to 255 characters in one line, at least one letter or digit, as in Trove. */
export const InstanceName = z
  .string()
  .refine(name => [...name].length <= 255, 'is too long')
  .regex(/^.*[0-9a-zA-Z].*$/, 'does not have a letter or a digit, or has a line break')

/** Who can connect to an instance. */
export const Access = z.object({
  is_public: z.boolean().optional(),
  allowed_cidrs: z.array(z.union([z.ipv4(), z.cidrv4()])).optional(),
})

export type InstanceAccess = z.infer<typeof Access>

/** A network interface that a create requests. */
export const Nic = z.strictObject({
  'net-id': z.string().optional(),
  network_id: z.string().optional(),
  subnet_id: z.string().optional(),
  ip_address: z.ipv4().optional(),
})

/** An instance: what was requested, and all that its status depends on. Times are in milliseconds since the epoch. */
export interface Instance {
  id: string
  project: string
  name: string
  created: number
  updated: number
  generation: number
  flavor: string
  /** `generation`: the instance's when the volume was created. A rebuild replaces the server and keeps the volume. */
  volume: { sizeGb: number; type?: string; used?: number; generation?: number }
  /** `engine`: the engine's name on machines. Missing if it equals the version's. */
  datastore: { type: string; manager: string; versionId: string; versionName: string; version: string; engine?: string }
  region?: string
  locality?: string
  /** The requested networks and zone, for compute backends that have them. */
  nics?: z.infer<typeof Nic>[]
  availabilityZone?: string
  access?: InstanceAccess
  task: Task
  /** Its RAM and volume no longer count against the quota (after a failed create); the instance itself still does. */
  quotaReleased?: boolean
  operation?: OperationRef
  /** The operation that `operation` aborted and waits for. Machine reports wake it too. */
  abortedOperation?: OperationRef
  fault?: { message: string; created: number; details: string | null }
  /** Its `fault` is the last that the machine reported. Such a fault goes when the server is ACTIVE again. */
  server?: Pick<MachineState, 'status' | 'addresses' | 'fault'>
  /** The agent's last report. */
  agentReport?: { status: ServiceStatus; at: number; sequence: number; message?: string; lease?: number }
}

/** Fields had other names in 0.1.0-dev. */
export const upgradeInstance = (body: object): object =>
  upgradeField(
    renameFields(body, { gaveBack: 'quotaReleased', service: 'agentReport', preempted: 'abortedOperation' }),
    'agentReport',
    report => renameFields(report, { sent: 'sequence' }),
  )

export const instances = recordType<Instance>('instance', upgradeInstance)

/** The project of each instance, by its id: reports and admins find an instance by id alone. */
export const projectIndex = recordType<{ project: string }>('id')

/**
 * An agent that has not reported for longer shows as ERROR; nothing is stored. An agent whose lease is longer than a
 * minute has proportionally more time.
 */
export const HEARTBEAT_EXPIRY_MS = 150_000
const MINUTE_MS = 60_000

/** The names of an instance's machine parts. They contain the generation, so that none is ever reused. */
export const serverName = (id: string, generation: number) => `server-${id}-${generation}`
export const volumeName = (id: string, generation: number) => `volume-${id}-${generation}`

export const volumeOf = ({ id, volume }: Pick<Instance, 'id' | 'volume'>) => volumeName(id, volume.generation ?? 1)
export const serverOf = ({ id, generation }: Pick<Instance, 'id' | 'generation'>) => serverName(id, generation)

/** UPDATING is missing: it does not change the status. */
const BY_TASK: Partial<Record<Task, string>> = {
  BUILDING: 'BUILD',
  DELETING: 'SHUTDOWN',
  REBOOTING: 'REBOOT',
  RESIZING: 'RESIZE',
  UPGRADING: 'UPGRADE',
}
const BY_SERVER: Record<MachineState['status'], string> = {
  ACTIVE: 'ACTIVE',
  BUILD: 'BUILD',
  ERROR: 'ERROR',
  SHUTDOWN: 'SHUTDOWN',
  GONE: 'SHUTDOWN',
}

/** The status that the API shows. The first match wins. */
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

/** The agent's status while no task runs and the server is active, otherwise empty. ERROR after missing heartbeats. */
export function operatingStatusOf(instance: Pick<Instance, 'task' | 'server' | 'agentReport'>, now: number): string {
  const { task, server, agentReport } = instance
  if (task !== 'NONE' || server?.status !== 'ACTIVE') return ''
  // The agent has not reported since the status was reset: ERROR, as in Trove.
  if (!agentReport) return 'ERROR'
  const expiry = (HEARTBEAT_EXPIRY_MS * Math.max(agentReport.lease ?? 0, MINUTE_MS)) / MINUTE_MS
  return now - agentReport.at > expiry ? 'ERROR' : BY_SERVICE[agentReport.status]
}

/** The status in the agent's last report, in Trove's words, whatever the state of the server. */
export const serviceStatusOf = ({ agentReport }: Pick<Instance, 'agentReport'>): string =>
  BY_SERVICE[agentReport?.status ?? 'new']

/** An instance of the caller's project; for an admin, of any project. Throws 404. */
export async function findInstance(
  platform: Pick<Platform, 'store'>,
  caller: { project: string; admin: boolean },
  id: string,
): Promise<Stored<Instance>> {
  if (!UUID.test(id)) throw notFound(`Resource ${truncate(id)} cannot be found.`)
  const inProject = await instances.get(platform.store, caller.project, id)
  const item = inProject ?? (caller.admin ? await instanceById(platform.store, id) : undefined)
  if (!item) throw notFound(`Resource ${id} cannot be found.`)
  return item
}

/** The instance with this id in any project: for reports and admins only. */
async function instanceById(store: Store, id: string): Promise<Stored<Instance> | undefined> {
  const pointer = await projectIndex.get(store, '*', id)
  return pointer && instances.get(store, pointer.body.project, id)
}

/** The current state of the instance that an operation works on. Throws SubjectGone. */
export async function reloadInstance(run: {
  deps: Pick<Platform, 'store'>
  project: string
  instance: string
}): Promise<Instance> {
  const item = await instances.get(run.deps.store, run.project, run.instance)
  if (!item) throw new SubjectGone('The instance is gone.')
  return item.body
}

/**
 * Replaces the instance by what `change` returns for it, which is also the result. Writes nothing if the instance no
 * longer exists or `change` returns undefined.
 */
export async function updateInstance(
  platform: Pick<Platform, 'store'>,
  project: string,
  id: string,
  change: (instance: Instance) => Instance | undefined,
): Promise<Instance | undefined> {
  return withOptimisticRetry(platform.store, async () => {
    const item = await instances.get(platform.store, project, id)
    const body = item && change(item.body)
    const changes: Change[] = item && body ? [instances.replace(item, body)] : []
    return { changes, result: body }
  })
}

/** The states of the database in which actions are allowed. `failed` is among them: it can be restarted. */
const ACTIONABLE: (ServiceStatus | undefined)[] = ['running', 'healthy', 'shutdown', 'crashed', 'failed']

/** Throws 422 unless the server is active, the state of the database is known and no operation runs. */
export function assertAvailable(instance: Instance): void {
  if (!instance.server) throw unprocessable(`Instance ${instance.id} is not ready.`)
  assertIdle(instance)
  const { server, agentReport, task } = instance
  if (task !== 'NONE') throw unavailable(instance, `task status was ${task}`)
  if (server.status !== 'ACTIVE') throw unavailable(instance, `instance status was ${server.status}`)
  if (!ACTIONABLE.includes(agentReport?.status))
    throw unavailable(instance, `instance status was ${agentReport?.status}`)
}

/** Throws 422 while an operation runs. */
export function assertIdle(instance: Instance): void {
  const { task, operation } = instance
  if (operation || task === 'DELETING') throw unavailable(instance, `task status was ${task}`)
}

/** Throws 422 if the instance has no server or while an operation runs. */
export function assertHasServer(instance: Instance): void {
  assertIdle(instance)
  const { id, server } = instance
  // A lost server can only be rebuilt.
  if (!server || server.status === 'GONE') throw unprocessable(`Instance ${id} is not ready.`)
}

const unavailable = ({ id }: Instance, reason: string) =>
  unprocessable(`Instance ${id} is not currently available for an action to be performed (${reason}).`)

/** Throws 422 unless the database runs: without it, databases, users and root cannot be managed. */
export function assertDatabaseRunning(instance: Instance): void {
  const status = instance.agentReport?.status
  if (instance.task === 'NONE' && (status === 'running' || status === 'healthy')) return
  const reason =
    instance.task === 'NONE' ? `instance status was ${status ?? 'unknown'}` : `task status was ${instance.task}`
  throw unavailable(instance, reason)
}
