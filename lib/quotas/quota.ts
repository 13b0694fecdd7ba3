import { overLimit } from '../kit/errors.ts'
import { kind } from '../kit/records.ts'
import { type Change, Conflict, type Store } from '../platform/store/store.ts'

/** What a project may have at once; -1 = no limit. `ram` in MB, `volumes` in GB. */
export const LIMITS = { instances: 10, ram: -1, volumes: 40, backups: 50 }
export type Resource = keyof typeof LIMITS
/** The largest volume of one instance, in GB. */
export const MAX_VOLUME_GB = 10

/** What a project has of a resource. */
export const quotas = kind<{ used?: number }>('quota')

/** The changes that take (or, negative, give back) resources. Taking fails the transaction over the limit; giving back never fails. */
export function quotaChanges(project: string, amounts: Partial<Record<Resource, number>>): Change[] {
  return resources(amounts).map(resource => {
    const by = amounts[resource] ?? 0
    const limit = LIMITS[resource]
    const bound = by > 0 && limit >= 0 ? { max: limit } : {}
    return { op: 'add', key: quotas.key(project, resource), field: 'used', by, ...bound }
  })
}

/** The resources of `amounts`, in the order of their changes. */
export function resources(amounts: Partial<Record<Resource, number>>): Resource[] {
  return (Object.keys(LIMITS) as Resource[]).filter(resource => (amounts[resource] ?? 0) !== 0)
}

/** What of `amounts` does not fit any more, by name. */
export async function exceeded(
  store: Store,
  project: string,
  amounts: Partial<Record<Resource, number>>,
): Promise<Resource[]> {
  const over: Resource[] = []
  for (const resource of resources(amounts)) {
    const used = (await quotas.get(store, project, resource))?.body.used ?? 0
    if (LIMITS[resource] >= 0 && used + (amounts[resource] ?? 0) > LIMITS[resource]) over.push(resource)
  }
  return over
}

/** What is to be thrown for a transaction that failed with `error`: 413 with the names of what is exceeded, if it is that. */
export async function quotaFault(
  store: Store,
  project: string,
  amounts: Partial<Record<Resource, number>>,
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof Conflict) || error.reason !== 'bound') return error
  const over = await exceeded(store, project, amounts)
  // Another request may have given back meanwhile what this one lacked.
  const names = over.length > 0 ? over : resources(amounts).slice(error.index, error.index + 1)
  return overLimit(`Quota exceeded for resources: [${names.map(name => `'${name}'`).join(', ')}].`)
}
