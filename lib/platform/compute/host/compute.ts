import { hostSubject, hostTopic } from '../../../contracts/conductor.ts'
import { type HostMethods, host } from '../../../contracts/host.ts'
import type { Clock, Random } from '../../../kit/clock.ts'
import type { Sealer } from '../../../kit/crypto/seal.ts'
import { type Client, client } from '../../../kit/rpc/contract.ts'
import type { Compute } from '../../../ports/compute.ts'
import type { Queue } from '../../../ports/queue.ts'
import type { Store } from '../../../ports/store.ts'
import { machineStates } from '../../machine-state.ts'

interface HostComputeOptions {
  /** The daemon that runs the instances. */
  hostId: string
  queue: Queue
  store: Store
  sealer: Sealer
  clock: Clock
  random: Random
}

/** How long a request waits for a daemon that is down; the saga repeats it anyway. */
const REQUEST_TTL_MS = 600_000

/** Instances as processes of one machine, run by its host daemon; its reports come back through the conductor. */
export function hostCompute(options: HostComputeOptions): Compute {
  const daemon = hostClient(options)
  const recordedState = async (project: string, name: string) =>
    (await machineStates.get(options.store, project, name))?.body.state
  return {
    createVolume: spec => daemon.create_volume(spec),
    deleteVolume: spec => daemon.delete_volume(spec),
    volume: recordedState,
    createServer: spec => daemon.create_server(spec),
    deleteServer: spec => daemon.delete_server(spec),
    server: recordedState,
    resizeVolume: spec => daemon.resize_volume(spec),
    changeServer: spec => daemon.change_server(spec),
    rebootServer: spec => daemon.reboot_server(spec),
  }
}

function hostClient({ hostId, queue, sealer, clock, random }: HostComputeOptions): Client<HostMethods, never> {
  const unsupported = () => Promise.reject(new Error('a host takes casts only'))
  return client(host, {
    query: unsupported,
    command: unsupported,
    async cast(method, input) {
      const subject = hostSubject(hostId)
      const header = { subject, generation: 0, direction: 'down', kind: 'cast', id: random.uuid() } as const
      const body = await sealer.seal({ ...header, expires: clock.now() + REQUEST_TTL_MS }, { method, input })
      await queue.send(hostTopic(hostId), [{ body }])
    },
  })
}
