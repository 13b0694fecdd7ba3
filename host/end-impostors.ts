import type { Manifest } from '../lib/datastores/manifest.ts'
import type { Log } from '../lib/kit/clock.ts'
import { messageOf } from '../lib/kit/errors.ts'
import type { MachineState } from '../lib/ports/compute.ts'
import { activeState } from './agent-keeper.ts'
import { type StopParts, stopEverything } from './agents.ts'
import type { InstanceQueues } from './instance-queues.ts'
import { type Listener, tcpListeners } from './listeners.ts'
import type { HostState, ServerState } from './state.ts'

const REASON =
  'A program of this instance listened at the address of another one. The instance was ended; an administrator can reboot it.'

export interface ImpostorParts extends StopParts {
  state: HostState
  queues: InstanceQueues
  log: Log
  /** The datastores, by manager. */
  manifests: Readonly<Record<string, Manifest>>
  report(server: ServerState, state: MachineState): Promise<void>
}

/**
 * Ends the servers of which a program listens where the clients of another database connect: at its address, at another
 * of the network that databases get theirs from, or at all addresses. They stay ended until they are rebooted.
 */
export async function endImpostors(parts: ImpostorParts, servers: ServerState[]): Promise<void> {
  const { queues, config, manifests } = parts
  if (config.firstUid === undefined) return
  const ports = Object.values(manifests).map(({ port }) => port)
  const impostors = impostorsAmong(servers, await tcpListeners(), { ports, network: config.network })
  await Promise.all(
    impostors.map(({ server, listener }) => queues.run(server.instance, () => endImpostor(parts, server, listener))),
  )
}

/** The servers of whose uid there are such listeners. */
export function impostorsAmong(
  servers: ServerState[],
  listeners: Listener[],
  { ports, network }: { ports: number[]; network: string },
): { server: ServerState; listener: Listener }[] {
  const isWatched = ({ address, port }: Listener) =>
    servers.some(server => server.address === address && server.port === port) ||
    (ports.includes(port) && (address === '*' || address.startsWith(`${network}.`)))
  return listeners.filter(isWatched).flatMap(listener => {
    const suspects = servers.filter(({ uid }) => uid === listener.uid)
    const isEntitled = suspects.some(({ address, port }) => address === listener.address && port === listener.port)
    return isEntitled ? [] : suspects.map(server => ({ server, listener }))
  })
}

async function endImpostor(parts: ImpostorParts, { name }: ServerState, listener: Listener): Promise<void> {
  const { state, log, report } = parts
  const server = await state.servers.get(name)
  if (!server) return
  const ended = { ...server, ended: REASON }
  log.error({ server: name, instance: server.instance, ...listener }, 'an instance listens at a foreign address')
  // Recorded first, so that its agent is not started again.
  await state.servers.put(ended)
  await stopEverything(parts, server).catch(error => log.error({ server: name, error: messageOf(error) }, 'not ended'))
  await report(ended, activeState(ended))
}
