import type { ChildProcess } from 'node:child_process'
import { type Clock, elapsedMs, type Log } from '../lib/kit/clock.ts'
import { messageOf } from '../lib/kit/errors.ts'
import { isAlive } from '../lib/kit/os/process.ts'
import type { MachineState } from '../lib/ports/compute.ts'
import { agentIn, startAgent, writeSite } from './agents.ts'
import type { HostConfig } from './config.ts'
import type { Confinement } from './confinement.ts'
import type { InstanceQueues } from './instance-queues.ts'
import type { Machines } from './machines.ts'
import type { HostState, ServerState } from './state.ts'

/** An agent that keeps ending is started this often before the server is given up. */
const STARTS = { max: 5, withinMs: 60_000 }

interface AgentKeeperParts {
  config: HostConfig
  confinement: Confinement
  machines: Machines
  clock: Clock
  log: Log
  state: HostState
  queues: InstanceQueues
  /** Aborted when the daemon ends: no agent is started from then on. */
  ended: AbortSignal
  report(server: ServerState, state: MachineState): Promise<void>
}

/** Keeps the agent of every server running. */
export class AgentKeeper {
  readonly #parts: AgentKeeperParts
  /** Agents that this daemon started and that have not ended, by server. */
  readonly #children = new Map<string, ChildProcess>()
  /** When agents were started lately, by server. */
  readonly #starts = new Map<string, number[]>()

  constructor(parts: AgentKeeperParts) {
    this.#parts = parts
  }

  /** Starts the agent of a server that has none. */
  async start(server: ServerState): Promise<void> {
    const { config, state, log, confinement, machines } = this.#parts
    await writeSite(config, server, machines)
    const { agent, child, release } = await startAgent(config, server, confinement)
    await confinement
      .bound(server, agent.pid)
      .catch(error => log.error({ server: server.name, error: messageOf(error) }, 'the server is not bounded'))
    release()
    this.#children.set(server.name, child)
    child.once('exit', () => {
      if (this.#children.get(server.name) === child) this.#children.delete(server.name)
      void this.ensure(server)
    })
    await state.servers.put({ ...server, agent })
    log.info({ server: server.name, instance: server.instance, pid: agent.pid }, 'agent started')
  }

  /** Raises the bounds of a server that runs; lower ones apply when its agent starts next, for they would end it now. */
  async raiseBounds(server: ServerState, previous: ServerState['flavor']): Promise<void> {
    const { confinement, log } = this.#parts
    const flavor = { ...server.flavor, ramMb: Math.max(server.flavor.ramMb, previous.ramMb) }
    await confinement
      .raise({ ...server, flavor }, server.agent?.pid)
      .catch(error => log.error({ server: server.name, error: messageOf(error) }, 'the bounds were not raised'))
  }

  /** Tells who works on a volume, whose size has changed: the agent reads it there. */
  async renewSites(volume: string): Promise<void> {
    const { config, state, machines } = this.#parts
    for (const server of await state.servers.all()) {
      if (server.volume === volume) await writeSite(config, server, machines)
    }
  }

  /** Forgets how often the agent was started lately. */
  forgetStarts(server: string): void {
    this.#starts.delete(server)
  }

  /** Ensures every agent that is not a child of this daemon; a child's end is noticed when it exits. */
  async ensureOrphans(): Promise<void> {
    const { state, queues } = this.#parts
    for (const server of await state.servers.all()) {
      if (!this.#children.has(server.name) && !queues.isBusy(server.instance)) void this.ensure(server)
    }
  }

  /** Starts the server's agent if it does not run, in turn with everything else for that instance. Never rejects. */
  ensure({ instance, name }: ServerState): Promise<void> {
    const { queues, log } = this.#parts
    return queues
      .run(instance, () => this.#startIfMissing(name))
      .catch(error => log.error({ server: name, error: messageOf(error) }, 'starting the agent failed'))
  }

  async #startIfMissing(name: string): Promise<void> {
    const { config, state, ended } = this.#parts
    const server = await state.servers.get(name)
    if (!server || server.ended !== undefined || ended.aborted) return
    // A daemon died in the middle of its delete, which is requested again.
    if (await state.deleted.get(name)) return
    if (server.agent && (await isAlive(server.agent))) return
    // It may have been started just before the daemon died, and not recorded.
    const agent = await agentIn(config, server)
    if (agent) return state.servers.put({ ...server, agent })
    await this.#startAgain(server)
  }

  async #startAgain(server: ServerState): Promise<void> {
    const { clock, log, report } = this.#parts
    const { name } = server
    const now = clock.now()
    const recent = (this.#starts.get(name) ?? []).filter(time => elapsedMs(now, time) < STARTS.withinMs)
    if (recent.length >= STARTS.max) return
    this.#starts.set(name, [...recent, now])
    if (recent.length === STARTS.max - 1) {
      log.error({ server: name }, 'the agent keeps ending')
      await report(server, { status: 'ERROR', fault: 'The agent of the instance keeps ending.' })
      return
    }
    await this.start(server)
    if (recent.length > 0) await report(server, activeState(server))
  }
}

/** What a server is reported as that runs, unless the daemon has ended it. */
export function activeState({ address, port, changeId, ended }: ServerState): MachineState {
  return {
    ...(ended === undefined ? { status: 'ACTIVE' } : { status: 'ERROR', fault: ended }),
    addresses: [{ address, port, type: 'private' }],
    ...(changeId !== undefined && { changeId }),
  }
}
