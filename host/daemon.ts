import { realpath } from 'node:fs/promises'
import type { z } from 'zod'
import type { HostMethods } from '../lib/contracts/host.ts'
import type { Manifest } from '../lib/datastores/manifest.ts'
import type { Clock, Log, Random } from '../lib/kit/clock.ts'
import { messageOf } from '../lib/kit/errors.ts'
import { removeAll } from '../lib/kit/os/files.ts'
import type { Handlers } from '../lib/kit/rpc/contract.ts'
import type { MachineState } from '../lib/ports/compute.ts'
import { AddressKeeper } from './address-keeper.ts'
import { type Endpoint, Endpoints } from './addresses.ts'
import { AgentKeeper, activeState } from './agent-keeper.ts'
import { removeStopMark, stopEverything, stopServer, writeAgentFiles, writeSite } from './agents.ts'
import type { HostConfig } from './config.ts'
import type { Confinement } from './confinement.ts'
import type { Ownership } from './data-dir.ts'
import { endRemoved } from './end-removed.ts'
import { endUid } from './end-uid.ts'
import { removeFolder } from './folders.ts'
import { InstanceQueues } from './instance-queues.ts'
import { type Machines, portOf } from './machines.ts'
import { Spares } from './spares.ts'
import {
  configFile,
  forgetDeleted,
  type HostState,
  hostState,
  logFile,
  markAndRemove,
  removeDrafts,
  type ServerState,
  serverDir,
  siteFile,
  volumeDir,
} from './state.ts'

/** A volume or a server, and whose it is. */
export interface PartRef {
  name: string
  instance: string
  project: string
}

interface DaemonParts {
  config: HostConfig
  /** The datastores that this machine runs, by manager. */
  manifests: Readonly<Record<string, Manifest>>
  machines: Machines
  confinement: Confinement
  clock: Clock
  random: Random
  log: Log
  /** Reports to the conductor. */
  report(method: 'update_server' | 'update_volume', part: PartRef, state: MachineState): Promise<void>
  /** Whether this daemon still has its data directory. */
  ownership(): Promise<Ownership>
  /** This daemon has to end: alone, or with all instances. */
  onEnd(how: 'close' | 'stop'): void
}

type Request<Method extends keyof HostMethods> = z.output<HostMethods[Method]['input']>

/**
 * How often the data directory is checked; and every how many checks agents are looked for that are not children of
 * this daemon, and old names are forgotten.
 */
const WATCH_MS = 500
const ENSURE_EVERY = 4
const FORGET_EVERY = 120
/** A new instance comes up before the spare that it took is replaced. */
const REFILL_AFTER_MS = 1_500
/** Names of deleted parts are remembered for longer than any request for them can be on its way. */
const DELETED_MS = 3_600_000

/** Runs the instances of one machine: an agent and a database each. Requests may come repeated and in any order. */
export class Daemon {
  readonly #parts: DaemonParts
  readonly #state: HostState
  readonly #spares: Spares
  readonly #agents: AgentKeeper
  readonly #queues = new InstanceQueues()
  readonly #ended = new AbortController()
  readonly #endpoints: Endpoints
  readonly #addresses: AddressKeeper
  /** The uids of its instances, for an end without the records. */
  readonly #uids = new Set<number>()
  /** The data directory by its real path, which cannot be found once it was removed. */
  #realDataDir: string | undefined

  constructor(parts: DaemonParts) {
    const { config } = parts
    this.#parts = parts
    this.#state = hostState(config.dataDir)
    this.#spares = new Spares(parts)
    this.#endpoints = new Endpoints(config.network)
    const keeperParts = {
      ...parts,
      state: this.#state,
      queues: this.#queues,
      report: (server: ServerState, state: MachineState) => this.#report('update_server', server, state),
    }
    this.#addresses = new AddressKeeper(keeperParts)
    this.#agents = new AgentKeeper({ ...keeperParts, ended: this.#ended.signal })
  }

  /** Takes over what runs already, starts what should run, and keeps it running until `close` or `stop`. */
  async start(): Promise<void> {
    const { dataDir } = this.#parts.config
    this.#realDataDir = await realpath(dataDir)
    await removeDrafts(dataDir)
    await this.#spares.sweep()
    for (const { uid } of await this.#state.volumes.all()) if (uid !== undefined) this.#uids.add(uid)
    const servers = await this.#state.servers.all()
    for (const server of servers) await this.#addresses.keep(server)
    await Promise.all(servers.map(server => this.#agents.ensure(server)))
    this.#spares.fill()
    void this.#watch()
  }

  /** Ends this daemon alone; databases and agents go on without it. */
  async close(): Promise<void> {
    this.#ended.abort()
    await this.#queues.idle()
    await this.#spares.close()
    await this.#addresses.close()
  }

  /** Stops every database and agent, and then this daemon; they come back at the next start. */
  async stop(): Promise<void> {
    await this.close()
    const { log, clock, ownership } = this.#parts
    const servers = await this.#state.servers.all()
    await Promise.all(
      servers.map(server =>
        stopServer(this.#parts, server).catch(error =>
          log.error({ server: server.name, error: messageOf(error) }, 'stopping a server failed'),
        ),
      ),
    )
    // Its records went with it.
    if (this.#realDataDir !== undefined && (await ownership()) === 'removed')
      await endRemoved(this.#realDataDir, this.#uids, clock)
  }

  readonly handlers: Handlers<HostMethods, undefined> = {
    create_volume: request => this.#queues.run(request.instance, () => this.#createVolume(request)),
    delete_volume: request => this.#queues.run(request.instance, () => this.#deleteVolume(request)),
    create_server: request => this.#queues.run(request.instance, () => this.#createServer(request)),
    delete_server: request => this.#queues.run(request.instance, () => this.#deleteServer(request)),
    resize_volume: request => this.#queues.run(request.instance, () => this.#resizeVolume(request)),
    change_server: request => this.#queues.run(request.instance, () => this.#changeServer(request)),
    reboot_server: request => this.#queues.run(request.instance, () => this.#rebootServer(request)),
  }

  async #createVolume(request: Request<'create_volume'>): Promise<void> {
    if (await this.#state.deleted.get(request.name)) return this.#report('update_volume', request, { status: 'GONE' })
    const existing = await this.#state.volumes.get(request.name)
    if (!existing) {
      const { datastore, name } = request
      try {
        const dir = volumeDir(this.#parts.config.dataDir, name)
        const uid = await this.#spares.take(datastore.manager, datastore.version, dir)
        if (uid !== undefined) this.#uids.add(uid)
        await this.#state.volumes.put({ ...request, ...(uid !== undefined && { uid }) })
      } catch (error) {
        return this.#report('update_volume', request, { status: 'ERROR', fault: messageOf(error) })
      }
      this.#spares.fill(REFILL_AFTER_MS)
    }
    const changeId = existing?.changeId
    await this.#report('update_volume', request, { status: 'ACTIVE', ...(changeId && { changeId }) })
  }

  async #deleteVolume(request: Request<'delete_volume'>): Promise<void> {
    const volume = await this.#state.volumes.get(request.name)
    await this.#removeForGood(request.name, async () => {
      if (volume?.uid !== undefined) await endUid(volume.uid, this.#parts.clock)
      await removeFolder(volumeDir(this.#parts.config.dataDir, request.name))
    })
    await this.#state.volumes.remove(request.name)
    if (volume?.uid !== undefined) this.#uids.delete(volume.uid)
    await this.#report('update_volume', request, { status: 'GONE' })
  }

  async #resizeVolume(request: Request<'resize_volume'>): Promise<void> {
    const volume = await this.#state.volumes.get(request.name)
    if (!volume) return
    const { sizeGb, changeId } = request
    if (volume.changeId !== changeId) await this.#state.volumes.put({ ...volume, sizeGb, changeId })
    await this.#agents.renewSites(volume.name)
    await this.#report('update_volume', volume, { status: 'ACTIVE', changeId })
  }

  async #changeServer(request: Request<'change_server'>): Promise<void> {
    const server = await this.#state.servers.get(request.name)
    if (!server) return
    const { flavor = server.flavor, datastore = server.datastore, changeId } = request
    const changed = { ...server, flavor, datastore, changeId }
    try {
      if (server.changeId !== changeId) {
        await writeSite(this.#parts.config, changed, this.#parts.machines)
        await this.#agents.raiseBounds(changed, server.flavor)
      }
      await this.#state.servers.put(changed)
      await this.#report('update_server', server, activeState(changed))
    } catch (error) {
      await this.#report('update_server', server, { ...activeState(changed), fault: messageOf(error) })
    }
  }

  async #rebootServer(request: Request<'reboot_server'>): Promise<void> {
    const server = await this.#state.servers.get(request.name)
    if (!server) return
    if (server.changeId === request.changeId) return this.#report('update_server', server, activeState(server))
    const { ended: _, ...rest } = server
    const rebooted = { ...rest, changeId: request.changeId }
    await stopServer(this.#parts, server)
    this.#agents.forgetStarts(server.name)
    // A database that was stopped on purpose starts with its server.
    await removeStopMark(this.#parts.config, server)
    await this.#agents.start(rebooted)
    await this.#report('update_server', server, activeState(rebooted))
  }

  async #createServer(request: Request<'create_server'>): Promise<void> {
    if (await this.#state.deleted.get(request.name)) return this.#report('update_server', request, { status: 'GONE' })
    const existing = await this.#state.servers.get(request.name)
    if (existing) return this.#report('update_server', existing, activeState(existing))
    const volume = await this.#state.volumes.get(request.volume)
    // The request for its volume is still on its way: this one will come again.
    if (!volume) return
    const { userData, ...spec } = request
    let reserved: Endpoint | undefined
    try {
      const port = portOf(this.#parts.manifests, request.datastore.manager)
      reserved = await this.#endpoints.choose(port, () => this.#state.servers.all())
      const server: ServerState = { ...spec, ...reserved, ...(volume.uid !== undefined && { uid: volume.uid }) }
      // The agent's certificate is for this address: the control plane has to know it before the agent asks.
      await this.#report('update_server', server, { ...activeState(server), status: 'BUILD' })
      await writeAgentFiles(this.#parts.config, server, userData)
      await this.#state.servers.put(server)
      reserved = undefined
      await this.#addresses.keep(server)
      await this.#agents.start(server)
      await this.#report('update_server', server, activeState(server))
    } catch (error) {
      // The server is not on record, so no delete would release its endpoint.
      if (reserved) this.#endpoints.release(reserved)
      await this.#report('update_server', request, { status: 'ERROR', fault: messageOf(error) })
    }
  }

  async #deleteServer(request: Request<'delete_server'>): Promise<void> {
    const { config } = this.#parts
    const server = await this.#state.servers.get(request.name)
    await this.#removeForGood(request.name, async () => {
      if (server) await stopEverything(this.#parts, server)
      await removeFolder(serverDir(config.dataDir, request.name))
      for (const file of [logFile, siteFile, configFile]) await removeAll(file(config.dataDir, request.name))
    })
    await this.#state.servers.remove(request.name)
    await this.#addresses.release(request.name)
    if (server) this.#endpoints.release(server)
    this.#agents.forgetStarts(request.name)
    await this.#report('update_server', request, { status: 'GONE' })
  }

  /** Removes what has this name, which is never to be made again. */
  #removeForGood(name: string, remove: () => Promise<void>): Promise<void> {
    return markAndRemove(() => this.#state.deleted.put({ name, at: this.#parts.clock.now() }), remove)
  }

  async #watch(): Promise<void> {
    const { clock, ownership, onEnd, log } = this.#parts
    const { signal } = this.#ended
    for (let count = 1; !signal.aborted; count++) {
      await clock.sleep(WATCH_MS, signal)
      const current = await ownership()
      if (signal.aborted) return
      if (current !== 'held') {
        log.error({ ownership: current }, 'the data directory no longer belongs to this daemon')
        return onEnd(current === 'replaced' ? 'close' : 'stop')
      }
      await this.#addresses.look()
      if (count % ENSURE_EVERY === 0) await this.#agents.ensureOrphans()
      if (count % FORGET_EVERY === 0) await forgetDeleted(this.#state, clock.now() - DELETED_MS)
    }
  }

  async #report(
    method: 'update_server' | 'update_volume',
    { name, instance, project }: PartRef,
    state: MachineState,
  ): Promise<void> {
    await this.#parts.report(method, { name, instance, project }, state)
  }
}
