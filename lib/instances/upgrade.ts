import { z } from 'zod'
import { chooseVersion } from '../datastores/catalog.ts'
import { badRequest, unprocessable } from '../kit/errors.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import { type Running, saga } from '../kit/saga/saga.ts'
import type { Platform } from '../platform/platform.ts'
import { begin, ending } from './acting.ts'
import { commanded, commandedBack, serves } from './asked.ts'
import { changed } from './change-server.ts'
import { assertIdle, type Instance } from './instance.ts'
import { current, engineOf } from './parts.ts'

const Version = z.object({ versionId: z.string(), versionName: z.string(), version: z.string() })
const UpgradeRequest = z.object({ from: Version, to: Version })
type UpgradeRequest = z.infer<typeof UpgradeRequest>

/** `{"datastore_version":v}`, by id or name: the engine changes under the data. Within a major version, and never back. */
export const requestUpgrade = (call: Call<{ version: string; name?: string | undefined }, Platform>): Promise<Reply> =>
  begin(call, 'upgrade', 'UPGRADING', async instance => {
    const { type, versionId, versionName, version } = instance.datastore
    const { manifest, version: to } = await chooseVersion({ type, version: call.body.version })
    const why = manifest.badUpgrade(version, to.version)
    if (why || to.id === versionId) throw badRequest(why ?? `The instance is of version ${to.name} already.`)
    assertIdle(instance)
    if (!instance.server) throw unprocessable(`Instance ${instance.id} is not ready.`)
    const from = { versionId, versionName, version }
    const change = call.body.name === undefined ? {} : { name: call.body.name }
    return { change, request: { from, to: { versionId: to.id, versionName: to.name, version: to.version } } }
  })

type Run = Running<UpgradeRequest, Platform>

/** A database that does not start with the new engine gets the old one again. */
export const upgrade = saga<UpgradeRequest, Platform>('upgrade', UpgradeRequest, {
  settled: ending({ done: ({ request }, instance) => ({ datastore: of(instance, request.to) }) }),
})
  .step(
    'engine of before',
    commandedBack('back', (agent, run) => agent.upgrade({ datastore_version: run.request.from.versionName })),
  )
  .step(
    'server',
    changed(
      run => engine(run, run.request.to),
      run => engine(run, run.request.from),
    ),
  )
  .step(
    'upgraded',
    commanded('upgrade', (agent, run) => agent.upgrade({ datastore_version: run.request.to.versionName })),
  )
  .step('serving', serves)

const of = ({ datastore }: Instance, version: UpgradeRequest['to']) => ({ ...datastore, ...version })

const engine = async (run: Run, version: UpgradeRequest['to']) => ({
  datastore: engineOf(of(await current(run), version)),
})
