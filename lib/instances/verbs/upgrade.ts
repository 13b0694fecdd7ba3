import { z } from 'zod'
import { badRequest } from '../../kit/errors.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { type SagaRun, saga } from '../../kit/saga/saga.ts'
import { chooseVersion, engineOfInstance } from '../../model/catalog.ts'
import { assertHasServer, type Instance, reloadInstance } from '../../model/instance.ts'
import type { Platform } from '../../platform/platform.ts'
import { agentCommandStep, agentCommandUndo, waitUntilServing } from '../steps/agent-command.ts'
import { changeServerStep } from '../steps/change-server.ts'
import { finishOperation, startOperation } from '../steps/operation.ts'

const Version = z.object({ versionId: z.string(), versionName: z.string(), version: z.string(), engine: z.string() })
type Version = z.infer<typeof Version>
const UpgradeRequest = z.object({ from: Version, to: Version })
type UpgradeRequest = z.infer<typeof UpgradeRequest>

/** `{"datastore_version":v}`, by id or name: the engine changes under the data. Within a major version, and never back. */
export const requestUpgrade = (
  call: Call<{ version: string; name?: string | undefined }, Platform>,
): Promise<Mutation> =>
  startOperation(call, 'upgrade', async instance => {
    const { type, versionId, versionName, version } = instance.datastore
    const engine = engineOfInstance(instance.datastore).version
    const { manifest, version: to } = await chooseVersion(call.deps, { type, version: call.body.version })
    const exact = (name: string) => manifest.versions.find(each => each.name === name)?.version ?? name
    const why = manifest.upgradeProblem(exact(engine), exact(to.engine))
    if (why || to.id === versionId) throw badRequest(why ?? `The instance is of version ${to.name} already.`)
    assertHasServer(instance)
    const from = { versionId, versionName, version, engine }
    const change = call.body.name === undefined ? {} : { name: call.body.name }
    return {
      change,
      request: { from, to: { versionId: to.id, versionName: to.name, version: to.version, engine: to.engine } },
    }
  })

type Run = SagaRun<UpgradeRequest, Platform>

/** A database that does not start with the new engine gets the old one back. */
export const upgrade = saga<UpgradeRequest, Platform>('upgrade', UpgradeRequest, {
  onEnd: finishOperation({ done: ({ request }, instance) => ({ datastore: withVersion(instance, request.to) }) }),
})
  .onUndo(
    'restore_engine_on_undo',
    agentCommandUndo('back', (agent, run) => agent.upgrade({ datastore_version: run.request.from.versionName })),
  )
  .step(
    'change_engine',
    changeServerStep(
      run => engineChange(run, run.request.to),
      run => engineChange(run, run.request.from),
    ),
  )
  .step(
    'upgrade_database',
    agentCommandStep('upgrade', (agent, run) => agent.upgrade({ datastore_version: run.request.to.versionName })),
  )
  .step('wait_until_serving', waitUntilServing)

const withVersion = ({ datastore }: Instance, version: Version) => ({ ...datastore, ...version })

const engineChange = async (run: Run, version: Version) => ({
  datastore: engineOfInstance(withVersion(await reloadInstance(run), version)),
})
