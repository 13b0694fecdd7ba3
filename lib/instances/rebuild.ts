import { z } from 'zod'
import { guestTopic } from '../contracts/conductor.ts'
import { commands, guests, newGuest } from '../guests/guest.ts'
import { unprocessable } from '../kit/errors.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import { retrying } from '../kit/records.ts'
import { type Running, saga } from '../kit/saga/saga.ts'
import type { Platform } from '../platform/platform.ts'
import { begin, ending } from './acting.ts'
import { commanded, serves } from './asked.ts'
import { assertIdle, instances, serverName } from './instance.ts'
import { current } from './parts.ts'
import { serverStep } from './server.ts'

/** The generation whose server is replaced. */
const RebuildRequest = z.object({ generation: z.int() })
type RebuildRequest = z.infer<typeof RebuildRequest>

/** `{"rebuild":{"image_id":…}}` of management: a new server for the same volume. Also where the one before is lost. */
export const requestRebuild = (call: Call<unknown, Platform>): Promise<Reply> =>
  begin(call, 'rebuild', 'BUILDING', instance => {
    assertIdle(instance)
    if (instance.gaveBack) throw unprocessable(`Instance ${instance.id} has no volume to be rebuilt with.`)
    return { request: { generation: instance.generation } }
  })

type Run = Running<RebuildRequest, Platform>

/** Once the old server is gone there is no way back; what failed leaves the volume, to be tried again or deleted. */
export const rebuild = saga<RebuildRequest, Platform>('rebuild', RebuildRequest, {
  settled: ending({ failed: 'BUILDING_ERROR_SERVER' }),
})
  .step('old server', {
    do: endOld,
    waitFor: 'update_server',
    until: isOldGone,
    // What was begun is brought to its end: a server that is half gone serves nobody.
    undo: endOld,
    undone: isOldGone,
  })
  .step('generation', { do: raise })
  .step('server', serverStep)
  .step(
    'rebuilt',
    commanded('rebuild', async (agent, run) =>
      agent.rebuild({ datastore_version: (await current(run)).datastore.versionName }),
    ),
  )
  .step('serving', serves)

async function endOld({ deps, project, instance, request: { generation } }: Run): Promise<void> {
  await deps.queue.remove(guestTopic(instance, generation))
  await deps.compute.deleteServer({ name: serverName(instance, generation), instance, project, generation })
}

async function isOldGone({ deps, project, instance, request }: Run): Promise<boolean> {
  const facts = await deps.compute.server(project, serverName(instance, request.generation))
  return facts?.status === 'GONE'
}

/** A new generation: nothing that the old agent says counts any more, and the new one begins with its first command. */
async function raise({ deps, project, instance, request }: Run): Promise<void> {
  for (;;) {
    const rows = await commands.ofInstance(deps.store, instance, { limit: 50 })
    if (rows.length === 0) break
    await deps.store.transact(rows.map(row => ({ op: 'delete', key: row.key })))
  }
  await retrying(deps.store, async () => {
    const item = await instances.get(deps.store, project, instance)
    const guest = await guests.get(deps.store, project, instance)
    if (!item || !guest || item.body.generation !== request.generation) return { changes: [], result: undefined }
    const { server: _, service: __, ...kept } = item.body
    const next = { ...kept, generation: request.generation + 1 }
    const changes = [
      instances.replace(item, next),
      guests.replace(guest, newGuest(next, deps.clock.now()), { due: undefined }),
    ]
    return { changes, result: undefined }
  })
}
