import type { ChildProcess } from 'node:child_process'
import type { HostMethods } from '../lib/contracts/host.ts'
import { manifestOf } from '../lib/datastores/catalog.ts'
import type { Clock, Log, Random } from '../lib/kit/clock.ts'
import type { Handlers } from '../lib/kit/contract.ts'
import { reason } from '../lib/kit/errors.ts'
import { removeAll } from '../lib/kit/files.ts'
import { alive } from '../lib/kit/process.ts'
import type { Facts } from '../lib/platform/compute/compute.ts'
import { type Endpoint, Endpoints } from './addresses.ts'
import { agentIn, endServer, startAgent, stopServer, writeAgentFiles, writeSite } from './agents.ts'
import type { HostConfig } from './config.ts'
import { Spares } from './spares.ts'
import {
  type HostState,
  hostState,
  logFile,
  type ServerState,
  serverDir,
  siteFile,
  stoppedFile,
  volumeDir,
} from './state.ts'

type Owned = { name: string; instance: string; project: string }

export interface DaemonParts {
  config: HostConfig
  clock: Clock
  random: Random
  log: Log
  /** Tells the conductor. */
  report(method: 'update_server' | 'update_volume', of: Owned, facts: Facts): Promise<void>
  /** Whether this daemon is still the one of its data directory. */
  standing(): Promise<'held' | 'replaced' | 'gone'>
  /** This daemon has to end: by itself alone, or with all instances. */
  over(how: 'close' | 'stop'): void
}

/**
 * How often it is seen that this daemon still stands; and each how many times the agents are looked after that are not its
 * own children (those tell their end by themselves), and old names are forgotten.
 */
const WATCH_MS = 500
const LOOK_EVERY = 4
const FORGET_EVERY = 120
/** A new instance comes up before the spare that it took is made again. */
const REFILL_AFTER_MS = 1_500
/** Names of deleted parts are remembered for longer than any wish for them is on its way. */
const DELETED_MS = 3_600_000
/** How often an agent that keeps dying is started again before the server is given up. */
const STARTS = { most: 5, withinMs: 60_000 }

/** Runs the instances of one machine: an agent and a database each. What it is told may come repeated and in any order. */
export class Daemon {
  readonly #parts: DaemonParts
  readonly #state: HostState
  readonly #spares: Spares
  /** What is being done for an instance; the next wish for it waits. */
  readonly #busy = new Map<string, Promise<void>>()
  /** Agents that this daemon started, and that have not ended, by server. */
  readonly #children = new Map<string, ChildProcess>()
  /** When agents were started lately, by server. */
  readonly #starts = new Map<string, number[]>()
  readonly #ended = new AbortController()
  readonly #endpoints: Endpoints

  constructor(parts: DaemonParts) {
    this.#parts = parts
    this.#state = hostState(parts.config.dataDir)
    this.#spares = new Spares(parts)
    this.#endpoints = new Endpoints(parts.config.network)
  }

  /** Takes over what runs already, starts what should run, and looks after it until `close` or `stop`. */
  async start(): Promise<void> {
    await this.#spares.sweep()
    await Promise.all((await this.#state.servers.all()).map(server => this.#lookAfter(server)))
    this.#spares.fill()
    void this.#watch()
  }

  /** Lets go of everything; what runs goes on without this daemon. */
  async close(): Promise<void> {
    this.#ended.abort()
    await Promise.all(this.#busy.values())
    await this.#spares.close()
  }

  /** Stops every database and agent, and then itself; they come back at the next start. */
  async stop(): Promise<void> {
    await this.close()
    const { config, clock, log } = this.#parts
    const servers = await this.#state.servers.all()
    await Promise.all(
      servers.map(server =>
        stopServer(config, server, clock).catch(error =>
          log.error({ server: server.name, error: reason(error) }, 'stop failed'),
        ),
      ),
    )
  }

  readonly handlers: Handlers<HostMethods, undefined> = {
    create_volume: wish => this.#locked(wish.instance, () => this.#createVolume(wish)),
    delete_volume: wish => this.#locked(wish.instance, () => this.#deleteVolume(wish)),
    create_server: wish => this.#locked(wish.instance, () => this.#createServer(wish)),
    delete_server: wish => this.#locked(wish.instance, () => this.#deleteServer(wish)),
    resize_volume: wish => this.#locked(wish.instance, () => this.#resizeVolume(wish)),
    change_server: wish => this.#locked(wish.instance, () => this.#changeServer(wish)),
    reboot_server: wish => this.#locked(wish.instance, () => this.#rebootServer(wish)),
  }

  async #createVolume(wish: Parameters<(typeof this.handlers)['create_volume']>[0]): Promise<void> {
    const { config } = this.#parts
    if (await this.#state.deleted.get(wish.name)) return this.#tell('update_volume', wish, { status: 'GONE' })
    const known = await this.#state.volumes.get(wish.name)
    if (!known) {
      try {
        const uid = await this.#spares.take(
          wish.datastore.manager,
          wish.datastore.version,
          volumeDir(config.dataDir, wish.name),
        )
        await this.#state.volumes.put({ ...wish, ...(uid !== undefined && { uid }) })
      } catch (error) {
        return this.#tell('update_volume', wish, { status: 'ERROR', fault: reason(error) })
      }
      this.#spares.fill(REFILL_AFTER_MS)
    }
    await this.#tell('update_volume', wish, { status: 'ACTIVE', ...(known?.wish && { wish: known.wish }) })
  }

  async #deleteVolume(wish: Owned): Promise<void> {
    await this.#bury(wish.name)
    await removeAll(volumeDir(this.#parts.config.dataDir, wish.name))
    await this.#state.volumes.remove(wish.name)
    await this.#tell('update_volume', wish, { status: 'GONE' })
  }

  async #resizeVolume(wish: Parameters<(typeof this.handlers)['resize_volume']>[0]): Promise<void> {
    const volume = await this.#state.volumes.get(wish.name)
    if (!volume) return
    const { sizeGb } = wish
    if (volume.wish !== wish.wish) await this.#state.volumes.put({ ...volume, sizeGb, wish: wish.wish })
    await this.#tell('update_volume', volume, { status: 'ACTIVE', wish: wish.wish })
  }

  async #changeServer(wish: Parameters<(typeof this.handlers)['change_server']>[0]): Promise<void> {
    const server = await this.#state.servers.get(wish.name)
    if (!server) return
    const { flavor = server.flavor, datastore = server.datastore } = wish
    const changed = { ...server, flavor, datastore, wish: wish.wish }
    try {
      if (server.wish !== wish.wish) await writeSite(this.#parts.config, changed)
      await this.#state.servers.put(changed)
      await this.#tell('update_server', server, factsOf(changed))
    } catch (error) {
      await this.#tell('update_server', server, { ...factsOf(changed), fault: reason(error) })
    }
  }

  async #rebootServer(wish: Parameters<(typeof this.handlers)['reboot_server']>[0]): Promise<void> {
    const server = await this.#state.servers.get(wish.name)
    if (!server) return
    if (server.wish !== wish.wish) {
      await stopServer(this.#parts.config, server, this.#parts.clock)
      this.#starts.delete(server.name)
      // A database that was stopped on purpose starts with its server.
      await removeAll(stoppedFile(this.#parts.config.dataDir, server.name))
      await this.#run({ ...server, wish: wish.wish })
    }
    await this.#tell('update_server', server, factsOf({ ...server, wish: wish.wish }))
  }

  async #createServer(wish: Parameters<(typeof this.handlers)['create_server']>[0]): Promise<void> {
    if (await this.#state.deleted.get(wish.name)) return this.#tell('update_server', wish, { status: 'GONE' })
    const known = await this.#state.servers.get(wish.name)
    if (known) return this.#tell('update_server', known, factsOf(known))
    const volume = await this.#state.volumes.get(wish.volume)
    // The wish for its volume is still on its way: this one will come again.
    if (!volume) return
    const { userData, ...spec } = wish
    let unkept: Endpoint | undefined
    try {
      const { port } = manifestOf(wish.datastore.manager)
      unkept = await this.#endpoints.choose(port, () => this.#state.servers.all())
      const server: ServerState = { ...spec, ...unkept, ...(volume.uid !== undefined && { uid: volume.uid }) }
      // The agent's certificate is for this address: it has to be known before the agent asks.
      await this.#tell('update_server', server, { ...factsOf(server), status: 'BUILD' })
      await writeAgentFiles(this.#parts.config, server, userData)
      await this.#state.servers.put(server)
      unkept = undefined
      await this.#run(server)
      await this.#tell('update_server', server, factsOf(server))
    } catch (error) {
      // No delete would find it: the server is not known.
      if (unkept) this.#endpoints.release(unkept)
      await this.#tell('update_server', wish, { status: 'ERROR', fault: reason(error) })
    }
  }

  async #deleteServer(wish: Owned): Promise<void> {
    const { config, clock } = this.#parts
    await this.#bury(wish.name)
    const server = await this.#state.servers.get(wish.name)
    if (server) await endServer(config, server, clock)
    await removeAll(serverDir(config.dataDir, wish.name))
    await removeAll(logFile(config.dataDir, wish.name))
    await removeAll(siteFile(config.dataDir, wish.name))
    await this.#state.servers.remove(wish.name)
    if (server) this.#endpoints.release(server)
    this.#starts.delete(wish.name)
    await this.#tell('update_server', wish, { status: 'GONE' })
  }

  /** Remembers, before anything is removed, that this name is never to be made again. */
  #bury(name: string): Promise<void> {
    return this.#state.deleted.put({ name, at: this.#parts.clock.now() })
  }

  async #run(server: ServerState): Promise<void> {
    await writeSite(this.#parts.config, server)
    const { running, child } = await startAgent(this.#parts.config, server)
    this.#children.set(server.name, child)
    child.once('exit', () => {
      if (this.#children.get(server.name) === child) this.#children.delete(server.name)
      void this.#lookAfter(server)
    })
    await this.#state.servers.put({ ...server, agent: running })
    this.#parts.log.info({ server: server.name, instance: server.instance, pid: running.pid }, 'agent started')
  }

  async #watch(): Promise<void> {
    const { clock, standing, over, log } = this.#parts
    const { signal } = this.#ended
    for (let count = 1; !signal.aborted; count++) {
      await clock.sleep(WATCH_MS, signal)
      const stands = await standing()
      if (signal.aborted) return
      if (stands !== 'held') {
        log.error({ stands }, "the data directory is not this daemon's any more")
        return over(stands === 'replaced' ? 'close' : 'stop')
      }
      if (count % LOOK_EVERY === 0) await this.#lookAfterAll()
      if (count % FORGET_EVERY === 0) await this.#forget()
    }
  }

  async #lookAfterAll(): Promise<void> {
    for (const server of await this.#state.servers.all()) {
      if (!this.#children.has(server.name) && !this.#busy.has(server.instance)) void this.#lookAfter(server)
    }
  }

  /** Forgets the names of what was deleted long ago. */
  async #forget(): Promise<void> {
    const before = this.#parts.clock.now() - DELETED_MS
    for (const { name, at } of await this.#state.deleted.all()) if (at < before) await this.#state.deleted.remove(name)
  }

  #lookAfter({ instance, name }: ServerState): Promise<void> {
    return this.#locked(instance, () => this.#look(name)).catch(error =>
      this.#parts.log.error({ server: name, error: reason(error) }, 'agent not started'),
    )
  }

  /** Starts the server's agent if it does not live, as long as it does not keep dying. */
  async #look(name: string): Promise<void> {
    const server = await this.#state.servers.get(name)
    if (!server || this.#ended.signal.aborted) return
    if (server.agent && (await alive(server.agent))) return
    // Started just before the daemon died, and not written down.
    const agent = await agentIn(this.#parts.config, server)
    if (agent) return this.#state.servers.put({ ...server, agent })
    const now = this.#parts.clock.now()
    const recent = (this.#starts.get(name) ?? []).filter(at => at > now - STARTS.withinMs)
    if (recent.length >= STARTS.most) return
    this.#starts.set(name, [...recent, now])
    if (recent.length === STARTS.most - 1) {
      this.#parts.log.error({ server: name }, 'the agent keeps ending')
      await this.#tell('update_server', server, { status: 'ERROR', fault: 'The agent of the instance keeps ending.' })
    } else {
      await this.#run(server)
      if (recent.length > 0) await this.#tell('update_server', server, factsOf(server))
    }
  }

  async #tell(
    method: 'update_server' | 'update_volume',
    { name, instance, project }: Owned,
    facts: Facts,
  ): Promise<void> {
    await this.#parts.report(method, { name, instance, project }, facts)
  }

  /** One thing at a time for an instance. */
  #locked(instance: string, work: () => Promise<void>): Promise<void> {
    const before = this.#busy.get(instance) ?? Promise.resolve()
    const mine = before.catch(() => {}).then(work)
    this.#busy.set(instance, mine)
    const forget = () => {
      if (this.#busy.get(instance) === mine) this.#busy.delete(instance)
    }
    mine.then(forget, forget)
    return mine
  }
}

function factsOf({ address, port, wish }: ServerState): Facts {
  return { status: 'ACTIVE', addresses: [{ address, port, type: 'private' }], ...(wish !== undefined && { wish }) }
}
