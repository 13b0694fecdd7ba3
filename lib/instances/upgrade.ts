import { z } from 'zod'
import { chooseVersion } from '../datastores/catalog.ts'
import { badRequest } from '../kit/errors.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import { type Running, saga } from '../kit/saga/saga.ts'
import type { Platform } from '../platform/platform.ts'
import { begin, ending } from './acting.ts'
import { commanded, commandedBack, serves } from './asked.ts'
import { changed } from './change-server.ts'
import { assertServer, type Instance } from './instance.ts'
import { current, engineOf } from './parts.ts'

const Version = z.object({ versionId: z.string(), versionName: z.string(), version: z.string(), engine: z.string() })
const UpgradeRequest = z.object({ from: Version, to: Version })
type UpgradeRequest = z.infer<typeof UpgradeRequest>

/** `{"datastore_version":v}`, by id or name: the engine changes under the data. Within a major version, and never back. */
export const requestUpgrade = (call: Call<{ version: string; name?: string | undefined }, Platform>): Promise<Reply> =>
  begin(call, 'upgrade', 'UPGRADING', async instance => {
    const { type, versionId, versionName, version } = instance.datastore
    const engine = engineOf(instance.datastore).version
    const { manifest, version: to } = await chooseVersion(call.deps, { type, version: call.body.version })
    const exact = (name: string) => manifest.versions.find(each => each.name === name)?.version ?? name
    const why = manifest.badUpgrade(exact(engine), exact(to.engine))
    if (why || to.id === versionId) throw badRequest(why ?? `The instance is of version ${to.name} already.`)
    assertServer(instance)
    const from = { versionId, versionName, version, engine }
    const change = call.body.name === undefined ? {} : { name: call.body.name }
    return {
      change,
      request: { from, to: { versionId: to.id, versionName: to.name, version: to.version, engine: to.engine } },
    }
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
      run => itsEngine(run, run.request.to),
      run => itsEngine(run, run.request.from),
    ),
  )
  .step(
    'upgraded',
    commanded('upgrade', (agent, run) => agent.upgrade({ datastore_version: run.request.to.versionName })),
  )
  .step('serving', serves)

const of = ({ datastore }: Instance, version: UpgradeRequest['to']) => ({ ...datastore, ...version })

const itsEngine = async (run: Run, version: UpgradeRequest['to']) => ({
  datastore: engineOf(of(await current(run), version)),
})
