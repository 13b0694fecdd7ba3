import { awaitedCommand } from '../../agents/awaited-command.ts'
import { openInstance } from '../../agents/open-instance.ts'
import { notFound } from '../../kit/errors.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { rootHistories } from '../../model/root-history.ts'
import type { Platform } from '../../platform/platform.ts'

/** `DELETE …/root`: disables root's login. Throws 404 if it was never enabled. */
export async function disableRoot(call: Call<unknown, Platform>): Promise<Mutation> {
  const { agent, instance } = await openInstance(call, 'root', 'disable_root')
  const history = await rootHistories.get(call.deps.store, instance.project, instance.id)
  if (!history) throw notFound(`Root has never been enabled on instance ${instance.id}.`)
  return awaitedCommand(call.deps, await agent.disable_root({}), { status: 204 })
}
