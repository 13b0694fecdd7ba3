import { overLimit, unprocessable } from '../kit/errors.ts'
import { recordType, type Stored } from '../kit/records.ts'
import type { Transaction } from '../kit/transaction.ts'
import type { Platform } from '../platform/platform.ts'
import type { Change, Store } from '../ports/store.ts'
import { HOSTS_PROJECT, hosts, hostUse } from './host.ts'
import type { Instance } from './instance.ts'

/** The limits of a project that has none of its own; -1 = no limit. `ram` in MB, `volumes` in GB. */
const LIMITS = { instances: 10, ram: -1, volumes: 40, backups: 50 }
export type Resource = keyof typeof LIMITS
export type Limits = Record<Resource, number>
export type ResourceAmounts = Partial<Record<Resource, number>>
export const RESOURCES = Object.keys(LIMITS) as Resource[]
/** The largest volume of one instance, in GB. */
export const MAX_VOLUME_GB = 10

/** How much of a resource a project uses. */
export const quotaUsage = recordType<{ used?: number }>('quota')

/** A project's own limits, which replace the default ones: one record, by this id. */
export const projectLimits = recordType<Partial<Limits>>('limits')
export const LIMITS_RECORD = 'quota'

/** The limits of a project, and the record of its own limits as it was read. */
interface ProjectLimits {
  limits: Limits
  record: Stored<Partial<Limits>> | undefined
}

export async function loadLimits(store: Store, project: string): Promise<ProjectLimits> {
  const record = await projectLimits.get(store, project, LIMITS_RECORD)
  return { limits: { ...LIMITS, ...record?.body }, record }
}

/**
 * The changes that reserve resources, or release those with a negative amount. A reservation needs the project's
 * limits. The transaction conflicts if one would be exceeded ('bound'), or if they have changed since they were read
 * ('version' of the last change). A release never conflicts.
 */
export function reservationChanges(project: string, amounts: ResourceAmounts, current?: ProjectLimits): Change[] {
  const isReservation = RESOURCES.some(resource => (amounts[resource] ?? 0) > 0)
  if (isReservation && !current) throw new Error('a reservation needs the limits of the project')
  const adds = changedResources(amounts).map((resource): Change => {
    const by = amounts[resource] ?? 0
    const limit = current?.limits[resource] ?? -1
    const bound = by > 0 && limit >= 0 ? { max: limit } : {}
    return { op: 'add', key: quotaUsage.key(project, resource), field: 'used', by, ...bound }
  })
  if (!isReservation) return adds
  return [...adds, { op: 'check', key: projectLimits.key(project, LIMITS_RECORD), was: current?.record?.version ?? 0 }]
}

/** The resources that have an amount, in the order of their changes. */
function changedResources(amounts: ResourceAmounts): Resource[] {
  return RESOURCES.filter(resource => (amounts[resource] ?? 0) !== 0)
}

/** The resources whose amount would exceed a limit. */
async function exceededResources(store: Store, project: string, amounts: ResourceAmounts): Promise<Resource[]> {
  const { limits } = await loadLimits(store, project)
  const exceeded: Resource[] = []
  for (const resource of changedResources(amounts)) {
    const used = (await quotaUsage.get(store, project, resource))?.body.used ?? 0
    const by = amounts[resource] ?? 0
    if (by > 0 && limits[resource] >= 0 && used + by > limits[resource]) exceeded.push(resource)
  }
  return exceeded
}

/**
 * The changes that reserve resources of a project, and what to throw if that exceeds a limit: 413 with the names of the
 * exceeded resources. They come first in their transaction; the bound of any other change makes it stale.
 */
export async function reserveQuota(
  store: Store,
  project: string,
  amounts: ResourceAmounts,
): Promise<Required<Pick<Transaction, 'changes' | 'onBound'>>> {
  const changes = reservationChanges(project, amounts, await loadLimits(store, project))
  return {
    changes,
    async onBound(index) {
      if (index >= changes.length) return undefined
      const exceeded = await exceededResources(store, project, amounts)
      // Another request may have released the missing amount since: then name the resource that conflicted.
      const names = exceeded.length > 0 ? exceeded : changedResources(amounts).slice(index, index + 1)
      return overLimit(`Quota exceeded for resources: [${names.map(name => `'${name}'`).join(', ')}].`)
    },
  }
}

/** The change that takes memory of a host up to `maxMb`, or returns it (negative). None if there is nothing to change. */
export function memoryChanges(host: string | undefined, byMb: number, maxMb?: number): Change[] {
  if (host === undefined || byMb === 0) return []
  const bound = maxMb === undefined ? {} : { max: maxMb }
  return [{ op: 'add', key: hostUse.key(HOSTS_PROJECT, host), field: 'ramMb', by: byMb, ...bound }]
}

/** The changes by which an instance takes more memory of its host. Throws 422 if the host has not that much. */
export async function growOnHost(
  { store }: Pick<Platform, 'store'>,
  { host }: Pick<Instance, 'host'>,
  byMb: number,
): Promise<Change[]> {
  if (host === undefined || byMb <= 0) return []
  const maxMb = (await hosts.get(store, HOSTS_PROJECT, host))?.body.ramMb
  const used = (await hostUse.get(store, HOSTS_PROJECT, host))?.body.ramMb ?? 0
  if (maxMb !== undefined && used + byMb > maxMb) {
    throw unprocessable('The host of the instance has no room for an instance of this flavor.')
  }
  return memoryChanges(host, byMb, maxMb)
}
