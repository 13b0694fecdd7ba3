import { hostSubject, hostTopic } from '../../../contracts/conductor.ts'
import { type HostMethods, host } from '../../../contracts/host.ts'
import type { Clock, Random } from '../../../kit/clock.ts'
import type { Sealer } from '../../../kit/crypto/seal.ts'
import { type Client, client } from '../../../kit/rpc/contract.ts'
import type { Compute } from '../../../ports/compute.ts'
import { NoSuchTopic, type Queue } from '../../../ports/queue.ts'
import type { Store } from '../../../ports/store.ts'
import { machineStates } from '../../machine-state.ts'

interface HostComputeOptions {
  /** The host of instances whose records name none. */
  hostId: string
  queue: Queue
  store: Store
  sealer: Sealer
  clock: Clock
  random: Random
}

/** How long a request waits for a daemon that is down; the saga repeats it anyway. */
const REQUEST_TTL_MS = 600_000

/** Instances as processes of machines, run by their host daemons; the reports come back through the conductor. */
export function hostCompute(options: HostComputeOptions): Compute {
  const daemonOf = ({ host: hostId = options.hostId }: { host?: string }) => hostClient({ ...options, hostId })
  const recordedState = async (project: string, name: string) =>
    (await machineStates.get(options.store, project, name))?.body.state
  return {
    defaultHost: options.hostId,
    createVolume: spec => daemonOf(spec).create_volume(spec),
    deleteVolume: spec => daemonOf(spec).delete_volume(spec),
    volume: recordedState,
    createServer: spec => daemonOf(spec).create_server(spec),
    deleteServer: spec => daemonOf(spec).delete_server(spec),
    server: recordedState,
    resizeVolume: spec => daemonOf(spec).resize_volume(spec),
    changeServer: spec => daemonOf(spec).change_server(spec),
    rebootServer: spec => daemonOf(spec).reboot_server(spec),
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
      await queue.send(hostTopic(hostId), [{ body }]).catch(error => {
        // A removed host has no topic. Its parts are recorded as gone, so nobody waits for them.
        if (!(error instanceof NoSuchTopic)) throw error
      })
    },
  })
}
