import { waitForCommand } from '../../agents/agent.ts'
import { openInstance } from '../../agents/open-instance.ts'
import { notFound } from '../../kit/errors.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import { rootHistories } from '../../model/root-history.ts'
import type { Platform } from '../../platform/platform.ts'

/** `DELETE …/root`: disables root's login. Throws 404 if it was never enabled. */
export async function disableRoot(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent, instance } = await openInstance(call)
  const history = await rootHistories.get(call.deps.store, instance.project, instance.id)
  if (!history) throw notFound(`Root has never been enabled on instance ${instance.id}.`)
  await waitForCommand(call.deps, await agent.disable_root({}))
  return { status: 204 }
}
