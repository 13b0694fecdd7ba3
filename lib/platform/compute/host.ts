import { hostSubject, hostTopic } from '../../contracts/conductor.ts'
import { type HostMethods, host } from '../../contracts/host.ts'
import type { Clock, Random } from '../../kit/clock.ts'
import { type Client, client } from '../../kit/contract.ts'
import type { Sealer } from '../../kit/seal.ts'
import type { Queue } from '../queue/queue.ts'
import type { Store } from '../store/store.ts'
import type { Compute } from './compute.ts'
import { observations } from './facts.ts'

export interface HostComputeOptions {
  /** The daemon that runs the instances. */
  hostId: string
  queue: Queue
  store: Store
  sealer: Sealer
  clock: Clock
  random: Random
}

/** How long a wish waits for a daemon that is down; the saga's naps ask again anyway. */
const WISH_MS = 600_000

/** Instances as processes of one machine, run by its host daemon; what it reports comes back through the conductor. */
export function hostCompute(options: HostComputeOptions): Compute {
  const daemon = hostClient(options)
  const facts = async (project: string, name: string) =>
    (await observations.get(options.store, project, name))?.body.facts
  return {
    createVolume: spec => daemon.create_volume(spec),
    deleteVolume: spec => daemon.delete_volume(spec),
    volume: facts,
    createServer: spec => daemon.create_server(spec),
    deleteServer: spec => daemon.delete_server(spec),
    server: facts,
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
      const outer = { subject, generation: 0, direction: 'down', kind: 'cast', id: random.uuid() } as const
      const body = await sealer.seal({ ...outer, expires: clock.now() + WISH_MS }, { method, input })
      await queue.send(hostTopic(hostId), [{ body }])
    },
  })
}
