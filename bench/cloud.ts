import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { hostTopic } from '../lib/contracts/conductor.ts'
import { derivedSealKeys } from '../lib/kit/crypto/seal.ts'
import { allHosts } from '../lib/model/placement.ts'
import type { Message } from '../lib/ports/queue.ts'
import { setPlatform } from '../lib/wiring/current.ts'
import { type EmbeddedCloud, embeddedCloud, HOST_ID } from '../lib/wiring/embedded.ts'
import { systemClock, systemLog, systemRandom } from '../lib/wiring/system.ts'
import { writeAccounts } from '../local/accounts.ts'
import { httpUrl, listeningPort } from '../local/address.ts'
import { consume } from '../local/consumers.ts'
import { prepareDataDir } from '../local/data-dir.ts'
import { gateway } from '../local/gateway/gateway.ts'
import { gatewayLimits } from '../local/gateway/limits.ts'
import { addHost } from '../test/sim/hosts.ts'
import { SimMachine } from '../test/sim/machine.ts'

/**
 * `cloud.ts DATA_DIR RATE [SYNC_MS]`, forked: the control plane of `local/main.ts` (gateway, consumers, store and queue), and
 * in the same process, on the same queue, a simulated machine whose guests answer at once. Sends `base` to its parent
 * once it serves. Its consumers start at the parent's first message, so that requests can be measured without the
 * work they cause. With SYNC_MS each sync of the store takes so long, instead of what this disk takes.
 */
const [dataDir = '', rate = '0', syncMs] = process.argv.slice(2)
const log = systemLog('control', 'info')
prepareDataDir(dataDir, process.getuid?.() === 0)
const { metricsOf, ...limits } = gatewayLimits(Number(rate), systemClock)
let base = ''
const cloud = await embeddedCloud({
  dataDir,
  log,
  enrolUrl: () => `${base}/enrol`,
  publicUrl: undefined,
  rate: Number(rate),
  metrics: limits.registry,
  onDiskWait: () => limits.fairQueue.leave(),
  sync: syncMs === undefined ? undefined : () => sleep(Number(syncMs)),
})
setPlatform(cloud.platform)
await registerMachine(cloud)
const edge = { ...limits, metrics: metricsOf(cloud.platform) }
const { server } = await gateway({ host: '127.0.0.1', port: 0, log, edge })
base = httpUrl('127.0.0.1', listeningPort(server, 0))
if (cloud.platform.identityService) await writeAccounts(dataDir, cloud.platform.identityService, base)
// Ends with its parent.
process.on('disconnect', () => process.exit(0))
process.send?.({ base })
await once(process, 'message')
const stopping = new AbortController()
void runMachine(cloud, stopping.signal)
await consume(cloud.platform, stopping.signal)

/** The machine has room for whatever is measured. A data directory that is used again has its record. */
async function registerMachine({ platform }: EmbeddedCloud): Promise<void> {
  if ((await allHosts(platform.store)).length === 0) await addHost(platform, HOST_ID)
}

/** The machine: it receives its host's messages, and runs its guests, each with a topic of its own. */
async function runMachine({ platform }: EmbeddedCloud, signal: AbortSignal): Promise<void> {
  const { queue, keys } = platform
  const machine = new SimMachine(queue, derivedSealKeys(keys), systemClock, systemRandom)
  const running = new Set<string>()
  const topic = hostTopic(HOST_ID)
  const handle = async (message: Message) => {
    await machine.handleMessage(message)
    await queue.ack(topic, [message.receipt])
    for (const [name, { agent }] of machine.servers) {
      if (running.has(name)) continue
      running.add(name)
      // Each has a signal of its own: adding the thousandth listener to a shared one takes time for all others.
      void agent.run(new AbortController().signal)
    }
  }
  while (!signal.aborted) {
    for (const message of await queue.receive(topic, { max: 10, waitMs: 20_000, signal })) void handle(message)
  }
}
