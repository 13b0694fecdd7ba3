import { once } from 'node:events'
import { hostTopic } from '../lib/contracts/conductor.ts'
import { derivedEnd } from '../lib/kit/seal.ts'
import type { Message } from '../lib/platform/queue/queue.ts'
import { wire } from '../lib/wiring/current.ts'
import { type Embedded, embedded, HOST_ID } from '../lib/wiring/embedded.ts'
import { systemClock, systemLog, systemRandom } from '../lib/wiring/system.ts'
import { writeAccounts } from '../local/accounts.ts'
import { consume } from '../local/consumers.ts'
import { edge } from '../local/edge.ts'
import { gateway } from '../local/gateway.ts'
import { prepareDataDir } from '../local/surroundings.ts'
import { SimMachine } from '../test/sim/machine.ts'

/**
 * `cloud.ts DATA_DIR RATE`, forked: the control plane of `local/main.ts` (its gateway, consumers, store and queue), and in
 * the same process, on the same queue, a simulated machine whose guests answer at once. Tells `base` once it serves; its
 * consumers begin at the first message, so that requests can be measured without the work that they cause.
 */
const [dataDir = '', rate = '0'] = process.argv.slice(2)
const log = systemLog('control', 'info')
prepareDataDir(dataDir, process.getuid?.() === 0)
const edges = edge(Number(rate), systemClock)
let base = ''
const cloud = await embedded({
  dataDir,
  log,
  enrolUrl: () => `${base}/enrol`,
  publicUrl: undefined,
  rate: Number(rate),
  metrics: edges.registry,
})
wire(cloud.platform)
const served = { ...edges, metrics: edges.metricsOf(cloud.platform) }
const { server } = await gateway({ host: '127.0.0.1', port: 0, log, edge: served })
const at = server.address()
base = `http://127.0.0.1:${typeof at === 'object' && at ? at.port : 0}`
if (cloud.platform.identityService) await writeAccounts(dataDir, cloud.platform.identityService, base)
// Nobody is left behind.
process.on('disconnect', () => process.exit(0))
process.send?.({ base })
await once(process, 'message')
const stopping = new AbortController()
void simulated(cloud, stopping.signal)
await consume(cloud.platform, stopping.signal)

/** The machine: it hears what is asked of its host, and each of its guests receives on a topic of its own. */
async function simulated({ platform }: Embedded, signal: AbortSignal): Promise<void> {
  const { queue, keys } = platform
  const machine = new SimMachine(queue, derivedEnd(keys), systemClock, systemRandom)
  const running = new Set<string>()
  const topic = hostTopic(HOST_ID)
  const take = async (message: Message) => {
    await machine.take(message)
    await queue.ack(topic, [message.receipt])
    for (const [name, { agent }] of machine.servers) {
      if (running.has(name)) continue
      running.add(name)
      // A signal of its own: listening to the same one costs each of a thousand the time to go through all others.
      void agent.run(new AbortController().signal)
    }
  }
  while (!signal.aborted) {
    for (const message of await queue.receive(topic, { max: 10, waitMs: 20_000, signal })) void take(message)
  }
}
