import { overLimit } from '../kit/errors.ts'
import { kind, type Stored } from '../kit/records.ts'
import { type Change, Conflict, type Store } from '../platform/store/store.ts'

/** What a project may have at once unless it has limits of its own; -1 = no limit. `ram` in MB, `volumes` in GB. */
export const LIMITS = { instances: 10, ram: -1, volumes: 40, backups: 50 }
export type Resource = keyof typeof LIMITS
export type Limits = Record<Resource, number>
export type Amounts = Partial<Record<Resource, number>>
export const RESOURCES = Object.keys(LIMITS) as Resource[]
/** The largest volume of one instance, in GB. */
export const MAX_VOLUME_GB = 10

/** What a project has of a resource. */
export const quotas = kind<{ used?: number }>('quota')

/** The limits that a project has over the usual ones: one record, by this id. */
export const ownLimits = kind<Partial<Limits>>('limits')
export const OWN_LIMITS = 'quota'

/** What a project may have, and the record that says so as it was read. */
export interface Allowance {
  limits: Limits
  own: Stored<Partial<Limits>> | undefined
}

export async function allowanceOf(store: Store, project: string): Promise<Allowance> {
  const own = await ownLimits.get(store, project, OWN_LIMITS)
  return { limits: { ...LIMITS, ...own?.body }, own }
}

/**
 * The changes that take (or, negative, give back) resources. Taking needs the project's allowance; it fails the
 * transaction over a limit ('bound'), or if the limits are no longer these ('version' of the last change). Giving back
 * never fails.
 */
export function quotaChanges(project: string, amounts: Amounts, allowance?: Allowance): Change[] {
  const taking = RESOURCES.some(resource => (amounts[resource] ?? 0) > 0)
  if (taking && !allowance) throw new Error('taking of a quota needs the limits of the project')
  const adds = resources(amounts).map((resource): Change => {
    const by = amounts[resource] ?? 0
    const limit = allowance?.limits[resource] ?? -1
    const bound = by > 0 && limit >= 0 ? { max: limit } : {}
    return { op: 'add', key: quotas.key(project, resource), field: 'used', by, ...bound }
  })
  const was = allowance?.own?.version ?? 0
  return taking ? [...adds, { op: 'check', key: ownLimits.key(project, OWN_LIMITS), was }] : adds
}

/** The resources of `amounts`, in the order of their changes. */
export function resources(amounts: Amounts): Resource[] {
  return RESOURCES.filter(resource => (amounts[resource] ?? 0) !== 0)
}

/** What of `amounts` does not fit any more, by name. */
export async function exceeded(store: Store, project: string, amounts: Amounts): Promise<Resource[]> {
  const { limits } = await allowanceOf(store, project)
  const over: Resource[] = []
  for (const resource of resources(amounts)) {
    const used = (await quotas.get(store, project, resource))?.body.used ?? 0
    const by = amounts[resource] ?? 0
    if (by > 0 && limits[resource] >= 0 && used + by > limits[resource]) over.push(resource)
  }
  return over
}

/** Limits are changed by hand: a request that meets as many changes of them has found a fault. */
const TRIES = 20

/** The changes, with the quota that they take. Throws 413 with the names of what is exceeded; Conflict for the changes' own. */
export async function transactWithin(
  store: Store,
  project: string,
  amounts: Amounts,
  changes: Change[],
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const taken = quotaChanges(project, amounts, await allowanceOf(store, project))
    try {
      return await store.transact([...taken, ...changes])
    } catch (error) {
      if (!(error instanceof Conflict)) throw error
      const limitsChanged = error.reason === 'version' && error.index < taken.length
      if (limitsChanged && attempt < TRIES) continue
      if (error.reason !== 'bound') throw error
      const over = await exceeded(store, project, amounts)
      // Another request may have given back meanwhile what this one lacked.
      const names = over.length > 0 ? over : resources(amounts).slice(error.index, error.index + 1)
      throw overLimit(`Quota exceeded for resources: [${names.map(name => `'${name}'`).join(', ')}].`)
    }
  }
}
