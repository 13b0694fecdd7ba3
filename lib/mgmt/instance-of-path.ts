import { Fault } from '../kit/errors.ts'
import { parseBoolean } from '../kit/http/parse.ts'
import type { Call } from '../kit/http/route.ts'
import { UUID } from '../kit/uuid.ts'
import { ALL_PROJECTS, deletedInstances } from '../model/deleted-instance.ts'
import { findInstance } from '../model/instance.ts'
import { type RootHistory, rootHistories } from '../model/root-history.ts'
import type { Platform } from '../platform/platform.ts'
import type { AnyInstance } from './rows.ts'

/** The path's instance; with `deleted=true` also one that was deleted in the last week. Throws 404. */
export async function loadAnyInstance(call: Call<unknown, Platform>): Promise<AnyInstance> {
  const id = call.params['id'] ?? ''
  try {
    return (await findInstance(call.deps, call, id)).body
  } catch (error) {
    if (!(error instanceof Fault) || parseBoolean(call.query['deleted']) !== true || !UUID.test(id)) throw error
    const deletedInstance = await deletedInstances.get(call.deps.store, ALL_PROJECTS, id)
    if (!deletedInstance) throw error
    return deletedInstance.body
  }
}

/** When root was enabled on the instance, and by whom; undefined if it never was. */
export async function loadRootHistory(
  { store }: Pick<Platform, 'store'>,
  instance: AnyInstance,
): Promise<RootHistory | undefined> {
  return instance.root ?? (await rootHistories.get(store, instance.project, instance.id))?.body
}
