import type { z } from 'zod'
import type { ServiceStatus } from '../contracts/conductor.ts'
import { notFound, SubjectGone, truncate, unprocessable } from '../kit/errors.ts'
import { recordType, renameFields, type Stored, upgradeField, withOptimisticRetry } from '../kit/records.ts'
import type { SagaOutcome } from '../kit/saga/saga.ts'
import { UUID } from '../kit/uuid.ts'
import type { Platform } from '../platform/platform.ts'
import type { MachineState, PartRef } from '../ports/compute.ts'
import type { Change, Store, Subject } from '../ports/store.ts'
import { FAILURES, type Failure, NO_TASK, OPERATIONS, type OperationInfo, UPDATING } from '../trove/operations.ts'
import type { InstanceAccess, Nic } from './instance-fields.ts'
import type { OperationRef } from './operation.ts'

export { INSTANCE, instanceSubject } from '../platform/instance-subject.ts'

/**
 * An instance: what was requested, and all that its status depends on. Times are in milliseconds since the epoch. Only
 * the functions in this file change `failure`, `operation`, `abortedOperation`, `fault`, `server` and `agentReport`.
 */
export interface Instance {
  id: string
  project: string
  name: string
  created: number
  updated: number
  generation: number
  /** The host that it is on, which its record has as its subject. */
  host?: string
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
  /** How an operation failed that left it broken. */
  failure?: Failure
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

/** Fields had other names in 0.1.0-dev, and `task` said what is now known from `operation` and `failure`. */
export const upgradeInstance = (body: object): object => {
  const renamed = renameFields(body, {
    gaveBack: 'quotaReleased',
    service: 'agentReport',
    preempted: 'abortedOperation',
  })
  return upgradeField(upgradeTask(renamed), 'agentReport', report => renameFields(report, { sent: 'sequence' }))
}

function upgradeTask(body: object): object {
  if (!('task' in body)) return body
  const { task, ...rest } = body
  return Object.hasOwn(FAILURES, String(task)) ? { ...rest, failure: task } : rest
}

export const instances = recordType<Instance>('instance', upgradeInstance)

/** The project of each instance, by its id: reports and admins find an instance by id alone. */
export const projectIndex = recordType<{ project: string }>('id')

/** The names of an instance's machine parts. They contain the generation, so that none is ever reused. */
export const serverName = (id: string, generation: number) => `server-${id}-${generation}`
export const volumeName = (id: string, generation: number) => `volume-${id}-${generation}`

export const volumeOf = ({ id, volume }: Pick<Instance, 'id' | 'volume'>) => volumeName(id, volume.generation ?? 1)
export const serverOf = ({ id, generation }: Pick<Instance, 'id' | 'generation'>) => serverName(id, generation)

/** A machine part of the instance, as requests to compute name it. */
export const partOf = ({ id: instance, project, generation, host }: Instance, name: string): PartRef => ({
  ...{ name, instance, project, generation },
  ...(host !== undefined && { host }),
})

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
export async function reloadInstance(
  run: { deps: Pick<Platform, 'store'>; project: string; subject: Subject },
  id = run.subject.id,
): Promise<Instance> {
  const item = await instances.get(run.deps.store, run.project, id)
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

/** Trove's task of an instance: what is being done with it, or how that failed. */
export function taskOf({ operation, failure }: Pick<Instance, 'operation' | 'failure'>): OperationInfo {
  if (operation) return OPERATIONS[operation.name] ?? UPDATING
  return failure ? { task: failure, status: 'ERROR', text: FAILURES[failure] } : NO_TASK
}

/** Whether an operation runs on it, or has left it broken. */
export const isBusyOrBroken = ({ operation, failure }: Pick<Instance, 'operation' | 'failure'>): boolean =>
  operation !== undefined || failure !== undefined

/** Whether it is being deleted. */
export const isBeingDeleted = ({ operation }: Pick<Instance, 'operation'>): boolean =>
  operation?.name === 'delete_instance'

/** The states of the database in which actions are allowed. `failed` is among them: it can be restarted. */
const ACTIONABLE: (ServiceStatus | undefined)[] = ['running', 'healthy', 'shutdown', 'crashed', 'failed']

/** Throws 422 unless the server is active, the state of the database is known and no operation runs. */
export function assertAvailable(instance: Instance): void {
  if (!instance.server) throw unprocessable(`Instance ${instance.id} is not ready.`)
  assertIdle(instance)
  const { server, agentReport } = instance
  if (isBusyOrBroken(instance)) throw unavailable(instance, `task status was ${taskOf(instance).task}`)
  if (server.status !== 'ACTIVE') throw unavailable(instance, `instance status was ${server.status}`)
  if (!ACTIONABLE.includes(agentReport?.status))
    throw unavailable(instance, `instance status was ${agentReport?.status}`)
}

/** Throws 422 while an operation runs. */
export function assertIdle(instance: Instance): void {
  if (instance.operation) throw unavailable(instance, `task status was ${taskOf(instance).task}`)
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
  if (isBusyOrBroken(instance)) throw unavailable(instance, `task status was ${taskOf(instance).task}`)
  if (status === 'running' || status === 'healthy') return
  throw unavailable(instance, `instance status was ${status ?? 'unknown'}`)
}

// Every change of an instance's state: a function returns the instance as it is after the change.

/** An operation begins: the instance is its own until it ends. */
export function beginOperation(instance: Instance, operation: OperationRef, now: number): Instance {
  const { failure: _, ...rest } = instance
  return { ...rest, operation, updated: now }
}

/** A delete takes over, whatever runs. */
export function beginDelete(instance: Instance, operation: OperationRef, now: number): Instance {
  const { fault: _, failure: __, ...rest } = instance
  const running = instance.operation
  return { ...rest, operation, updated: now, ...(running && { abortedOperation: running }) }
}

/** How an operation ended, and what that leaves. */
interface Ending {
  id: string
  outcome: SagaOutcome
  /** Why it did not succeed. */
  error: string | undefined
  /** How it leaves the instance broken if it did not succeed. Default: as it was before. */
  failure?: Failure | undefined
  /** The server's state as compute knows it; undefined leaves it as it is. */
  server?: Instance['server']
  now: number
}

/** The instance's operation has ended. Nothing changes if a delete has taken over. */
export function endOperation(instance: Instance, ending: Ending): Instance {
  const { id, outcome, error, failure, server, now } = ending
  if (instance.operation?.id !== id) return instance
  const { operation: _, fault: __, ...rest } = instance
  const ended: Instance = { ...rest, updated: now, ...(server && { server }) }
  if (outcome === 'done') return ended
  // The reason is kept when the instance ends in ERROR, even after a cancel.
  const keepsFault = outcome === 'failed' || failure !== undefined
  const fault = { message: error ?? 'failed', created: now, details: null }
  return { ...ended, ...(failure && { failure }), ...(keepsFault && { fault }) }
}

/** A create has failed: the instance has no server, and keeps its record and the reason. */
export function endFailedCreate(instance: Instance, ending: Omit<Ending, 'outcome' | 'server'>): Instance {
  const ended = endOperation(instance, { ...ending, outcome: 'failed' })
  if (ended === instance) return instance
  const { server: _, ...withoutServer } = ended
  return withoutServer
}

/** A failed create starts again, on machine parts of another generation. */
export function beginRetry(instance: Instance, operation: OperationRef, now: number): Instance {
  const { fault: _, failure: __, agentReport: ___, server: ____, abortedOperation: _____, ...rest } = instance
  return { ...rest, operation, generation: instance.generation + 1, updated: now }
}

/** A rebuild starts another generation: neither server nor agent of the old one count any more. */
export function beginGeneration(instance: Instance, generation: number): Instance {
  const { server: _, agentReport: __, ...rest } = instance
  return { ...rest, generation }
}

/** An operator resets the status of an instance on which nothing is being done. */
export function resetState(instance: Instance, now: number): Instance {
  const { fault: _, agentReport: __, failure: ___, ...rest } = instance
  return { ...rest, updated: now }
}

/** The server that an operation waited for is active. */
export const serverCreated = (instance: Instance, addresses: MachineState['addresses']): Instance => ({
  ...instance,
  server: { status: 'ACTIVE', ...(addresses && { addresses }) },
})

/** A report of the server's state while no operation runs. The server's fault lasts until the server is ACTIVE again. */
export function reportServer(instance: Instance, state: MachineState, now: number): Instance {
  const { fault: currentFault, ...rest } = instance
  const previous = instance.server
  const { status, addresses = previous?.addresses, fault: message } = state
  // A fault that an operation left is not the server's: it stays when the server is ACTIVE again.
  const serverFault = currentFault?.message === previous?.fault ? currentFault : undefined
  const isSame = message === undefined || message === serverFault?.message
  const fault = isSame ? serverFault : { message, created: now, details: null }
  const server: NonNullable<Instance['server']> = { status, addresses }
  if (!fault) return { ...instance, server }
  if (status !== 'ACTIVE') server.fault = fault.message
  return { ...rest, server, ...((status !== 'ACTIVE' || message !== undefined) && { fault }) }
}

/** What an agent reports of its database. */
interface AgentReport {
  status: ServiceStatus
  at: number
  sequence: number
  message?: string | undefined
  lease?: number | undefined
  usedBytes?: number | undefined
}

/** A report of the agent; undefined if a later one came before. */
export function reportAgent(instance: Instance, report: AgentReport): Instance | undefined {
  const { status, at, sequence, message, lease, usedBytes } = report
  if ((instance.agentReport?.sequence ?? 0) >= sequence) return undefined
  return {
    ...instance,
    agentReport: {
      status,
      at,
      sequence,
      ...(message !== undefined && { message }),
      ...(lease !== undefined && { lease }),
    },
    volume: { ...instance.volume, ...(usedBytes !== undefined && { used: usedBytes }) },
  }
}
