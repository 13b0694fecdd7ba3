import { flavorSize } from '../../lib/model/flavor.ts'
import type { Answer } from '../../test/e2e/coffer.ts'
import type { Entry } from './ledger.ts'

/** An operation as the API shows it, as far as the checks need it. */
export interface Operation {
  id: string
  name: string
  status: string
  step: string | null
  started: string
  finished: string | null
  error: string | null
}

/** An instance as the API shows it, and its operations, the newest first. */
export interface View {
  owner: string
  instance: Answer['body']
  operations: Operation[]
}

const OPEN = ['RUNNING', 'UNDOING', 'PARKED']

/** Operations that have not ended. */
export const openOperations = (views: View[]): string[] =>
  views.flatMap(({ instance, operations }) =>
    operations
      .filter(({ status }) => OPEN.includes(status))
      .map(({ name, status, step, error }) => `${name} of ${instance.id} is ${status} at ${step}: ${error ?? ''}`),
  )

/** The operations that decide whether an instance has a server. */
const BUILDS = ['create_instance', 'rebuild']
/** The operations after which a stopped database runs again. */
const STARTS = ['restart', 'reboot', 'rebuild', 'resize_flavor', 'upgrade']

/** Whether the instance was created: a create that was rolled back has returned its memory and its volume. */
export const isCreated = ({ operations }: View): boolean =>
  operations.find(({ name }) => name === 'create_instance')?.status === 'DONE'

/** Whether an admin has stopped the database, and nobody has started it since. */
export const isStopped = ({ instance, operations }: View): boolean => {
  const latest = operations.find(({ name, status }) => status === 'DONE' && ['stop_db', ...STARTS].includes(name))
  const shows = `${instance.status} ${instance.operating_status}`
  return shows === 'ACTIVE SHUTDOWN' && instance.fault === undefined && latest?.name === 'stop_db'
}

export const isServing = ({ instance }: View): boolean =>
  instance.status === 'ACTIVE' && instance.operating_status === 'HEALTHY'

/** What is wrong with how an instance has ended; undefined if it serves, or does not for a good reason. */
export function endStateProblem(view: View): string | undefined {
  const { instance, operations } = view
  if (isServing(view) || isStopped(view)) return undefined
  const build = operations.find(({ name }) => BUILDS.includes(name))
  const hasNoServer = build !== undefined && ['FAILED', 'CANCELLED'].includes(build.status)
  if (hasNoServer && instance.status === 'ERROR' && instance.fault?.message) return undefined
  // Its status was reset, which clears the reason and makes no server.
  if (hasNoServer && instance.status === 'SHUTDOWN') return undefined
  const shows = `${instance.status}, '${instance.operating_status}'`
  const latest = operations[0] && `${operations[0].name} ${operations[0].status}`
  return `instance ${instance.id} is ${shows} after ${latest}: ${instance.fault?.message ?? 'without a reason'}`
}

/** What a project's instances take of its quotas. */
function takenOf(views: View[]): Record<string, number> {
  const sizes = views.filter(isCreated).map(({ instance }) => ({
    ram: flavorSize(instance.flavor.id).ramMb,
    volumes: Number(instance.volume.size),
  }))
  const sum = (resource: keyof (typeof sizes)[number]) => sizes.reduce((total, size) => total + size[resource], 0)
  // What is in ERROR still counts as an instance.
  return { instances: views.length, ram: sum('ram'), volumes: sum('volumes') }
}

interface Quota {
  resource: string
  in_use: number
  reserved: number
}

/** Quotas of a project that are not what its instances take. */
export function quotaProblems(owner: string, quotas: Quota[], views: View[]): string[] {
  const expected = takenOf(views.filter(view => view.owner === owner))
  return quotas
    .filter(({ resource, in_use, reserved }) => in_use !== (expected[resource] ?? 0) || reserved !== 0)
    .map(
      ({ resource, in_use, reserved }) =>
        `the quota ${resource} of ${owner} is ${in_use} (${reserved} reserved), its instances take ${expected[resource] ?? 0}`,
    )
}

/** Memory of a host that is not what the instances take. */
export function memoryProblems(host: { name: string; usedRAM: number }, views: View[]): string[] {
  const expected = takenOf(views)['ram'] ?? 0
  if (host.usedRAM === expected) return []
  return [`the host ${host.name} has ${host.usedRAM} MB taken, the instances take ${expected} MB`]
}

/** Instances that nobody created or that should be gone, and those that are gone though nobody deleted them. */
export function fleetProblems(entries: Entry[], views: View[]): string[] {
  const existing = new Set(views.map(({ instance }) => String(instance.id)))
  const missing = entries.filter(({ id, isDeleteSent }) => !isDeleteSent && !existing.has(id))
  const undead = entries.filter(({ id, isDeleted }) => isDeleted && existing.has(id))
  const ids = new Set(entries.map(({ id }) => id))
  const foreign = [...existing].filter(id => !ids.has(id))
  return [
    ...missing.map(({ id }) => `instance ${id} has disappeared`),
    ...undead.map(({ id }) => `instance ${id} is still there, though it was deleted`),
    ...foreign.map(id => `instance ${id} was created, though no request for it was answered`),
  ]
}
