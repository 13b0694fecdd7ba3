import { z } from 'zod'
import { agentRecords } from '../../agents/agent.ts'
import { deleteCommands } from '../../agents/delete-commands.ts'
import { newAgentRecord } from '../../agents/enrol-secret.ts'
import { guestTopic } from '../../contracts/conductor.ts'
import { unprocessable } from '../../kit/errors.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { withOptimisticRetry } from '../../kit/records.ts'
import { type SagaRun, saga } from '../../kit/saga/saga.ts'
import { isHostRemoved } from '../../model/host.ts'
import {
  assertIdle,
  beginGeneration,
  instances,
  partOf,
  reloadInstance,
  serverName,
  serverOf,
} from '../../model/instance.ts'
import type { Platform } from '../../platform/platform.ts'
import { agentCommandStep, waitUntilServing } from '../steps/agent-command.ts'
import { createServerStep } from '../steps/create-server.ts'
import { removePart } from '../steps/machine.ts'
import { finishOperation, startOperation } from '../steps/operation.ts'

/** The generation whose server is replaced. */
const RebuildRequest = z.object({ generation: z.int() })
type RebuildRequest = z.infer<typeof RebuildRequest>

/** `{"rebuild":{"image_id":…}}` of management: a new server for the same volume, also where the old server is lost. */
export const requestRebuild = (call: Call<unknown, Platform>): Promise<Mutation> =>
  startOperation(call, 'rebuild', async instance => {
    assertIdle(instance)
    const { id, host, quotaReleased } = instance
    if (quotaReleased || (host !== undefined && (await isHostRemoved(call.deps.store, host)))) {
      throw unprocessable(`Instance ${id} has no volume to be rebuilt with.`)
    }
    return { request: { generation: instance.generation } }
  })

type Run = SagaRun<RebuildRequest, Platform>

/** Once the old server is gone there is no way back. A failed rebuild leaves the volume, to be rebuilt again or deleted. */
export const rebuild = saga<RebuildRequest, Platform>('rebuild', RebuildRequest, {
  onEnd: finishOperation({ failure: 'BUILDING_ERROR_SERVER' }),
})
  .step('delete_old_server', {
    do: deleteOldServer,
    isDone: oldServerRemoved,
    // The undo finishes the removal: a server that is half gone serves nobody.
    undo: deleteOldServer,
    isUndone: oldServerRemoved,
  })
  .step('start_generation', { do: startNewGeneration })
  .step('create_server', createServerStep)
  .step(
    'send_rebuild',
    agentCommandStep('rebuild', async (agent, run) =>
      agent.rebuild({ datastore_version: (await reloadInstance(run)).datastore.versionName }),
    ),
  )
  .step('wait_until_serving', waitUntilServing)

async function deleteOldServer(run: Run): Promise<void> {
  const { generation } = run.request
  await run.deps.queue.remove(guestTopic(run.subject.id, generation))
  const instance = { ...(await reloadInstance(run)), generation }
  await removePart(run.deps, 'server', partOf(instance, serverOf(instance)))
}

async function oldServerRemoved({ deps, project, subject, request }: Run): Promise<boolean> {
  const state = await deps.compute.server(project, serverName(subject.id, request.generation))
  return state?.status === 'GONE'
}

/** Starts a new generation: the old agent's messages are refused from now on, and the new agent's commands count from 1. */
async function startNewGeneration({ deps, project, subject, request }: Run): Promise<void> {
  const instance = subject.id
  await deleteCommands(deps.store, instance)
  await withOptimisticRetry(deps.store, async () => {
    const item = await instances.get(deps.store, project, instance)
    const agent = await agentRecords.get(deps.store, project, instance)
    if (!item || !agent || item.body.generation !== request.generation) return { changes: [], result: undefined }
    const next = beginGeneration(item.body, request.generation + 1)
    const changes = [
      instances.replace(item, next),
      agentRecords.replace(agent, await newAgentRecord(deps, next), { due: undefined }),
    ]
    return { changes, result: undefined }
  })
}
