import { Agent } from '../../guest-agent/agent.ts'
import type { CommandEnd, Journal } from '../../guest-agent/journal.ts'
import type { HostReport } from '../../lib/contracts/conductor.ts'
import { HostMessage, type HostMethods, host } from '../../lib/contracts/host.ts'
import type { Clock, Random } from '../../lib/kit/clock.ts'
import { readEnvelope, type SealKeys, sealer } from '../../lib/kit/crypto/seal.ts'
import { type Handlers, serve } from '../../lib/kit/rpc/contract.ts'
import type { Message, Queue } from '../../lib/ports/queue.ts'
import { silentLog } from '../kit/random.ts'
import { risingNumbers } from '../kit/rising-numbers.ts'
import type { SimEnrolment } from './enrolment.ts'
import { memoryServer } from './memory-server.ts'
import { CONDUCTOR_TOPIC, guestSubject, guestTopic, HOST_ID, hostSubject, type MachineState } from './names.ts'

/** The names of a volume or a server in a message. */
interface PartRef {
  name: string
  instance: string
  project: string
}

interface Guest {
  changeId?: string
  /** The flavor and the datastore that the server was last given. */
  spec: { flavor: unknown; datastore: unknown }
  agent: Agent
  topic: string
  journal: Journal
  driver: ReturnType<typeof memoryServer>
}

/** Commands after which the database's status may differ: an agent reports it immediately. */
const STATUS_CHANGING = ['prepare', 'restart', 'stop_db', 'start_db_with_conf_changes', 'upgrade', 'rebuild']

/** A machine that creates volumes and servers without delay: a host daemon and its agents, without processes. */
export class SimMachine {
  readonly volumes = new Map<string, { sizeGb: number; changeId?: string; driver: Guest['driver'] }>()
  readonly servers = new Map<string, Guest>()
  /** Whether the agent fails to write the end of this command now: it died just before, or its disk is full. */
  failsToWrite: (number: number) => boolean = () => false
  readonly #deletedNames = new Set<string>()
  #sequence = 0
  /** Numbers the reports of all its agents. */
  readonly #agentSequence = risingNumbers()
  readonly #queue: Queue
  readonly #keys: SealKeys
  readonly #clock: Clock
  readonly #random: Random

  readonly #hostId: string
  /** The disks of agents that enrol, by server; the others have all keys. */
  readonly #enrolments = new Map<string, SimEnrolment>()
  /** Set where agents enrol: what a new one has on its disk, by its user-data. */
  newEnrolment: ((userData: string) => SimEnrolment) | undefined

  constructor(queue: Queue, keys: SealKeys, clock: Clock, random: Random, hostId = HOST_ID) {
    this.#hostId = hostId
    this.#queue = queue
    this.#keys = keys
    this.#clock = clock
    this.#random = random
  }

  get topics(): string[] {
    return [...this.servers.values()].map(({ topic }) => topic)
  }

  /** Handles a message on the host's queue. */
  async handleMessage({ body }: Message): Promise<void> {
    try {
      const envelope = readEnvelope(body)
      const { method, input } = HostMessage.parse(await sealer(this.#keys).open(envelope))
      await serve<HostMethods, undefined>(host, this.#handlers)(method, input, undefined)
    } catch {
      // Dropped, as the daemon does with what it cannot open.
    }
  }

  /** Restarts the agents, as after a crash: the journal on their disk stays. */
  async restartAgents(): Promise<void> {
    for (const [name, guest] of this.servers) {
      const [, instance = '', generation = '1'] = /^server-(.*)-(\d+)$/.exec(name) ?? []
      const restarted = this.#createGuest(instance, Number(generation), guest.journal, guest.driver)
      this.servers.set(name, { ...guest, ...restarted })
      await restarted.agent.heartbeat()
    }
  }

  readonly #haltedServers = new Map<string, Guest>()

  /** Starts the agent of a server that another compute created, with its journal and the data on its volume. */
  async bootServer(name: string, instance: string, generation: number, volume: string): Promise<void> {
    const { driver } = this.volumes.get(volume) ?? { driver: memoryServer() }
    this.volumes.set(volume, { sizeGb: 0, driver })
    const journal = this.#haltedServers.get(name)?.journal ?? this.#createJournal()
    const guest = this.#createGuest(instance, generation, journal, driver)
    this.servers.set(name, { ...guest, spec: { flavor: undefined, datastore: undefined } })
    await guest.agent.heartbeat()
  }

  /** Stops that server; its disk stays. */
  haltServer(name: string): void {
    const guest = this.servers.get(name)
    if (guest) this.#haltedServers.set(name, guest)
    this.servers.delete(name)
  }

  #lastHeartbeat = 0

  /** Has every agent send a heartbeat, once a minute at most. */
  async heartbeats(): Promise<void> {
    if (this.#clock.now() < this.#lastHeartbeat + 60_000) return
    this.#lastHeartbeat = this.#clock.now()
    for (const { agent } of this.servers.values()) await agent.heartbeat()
  }

  #lastAnnouncement = 0

  /** Says that the host is alive and has this, every 5 s at most. */
  async announce(report: HostReport): Promise<void> {
    if (this.#clock.now() < this.#lastAnnouncement + 5_000) return
    this.#lastAnnouncement = this.#clock.now()
    await this.sendReport('update_host', report)
  }

  readonly #handlers: Handlers<HostMethods, undefined> = {
    create_volume: async input => {
      if (this.#deletedNames.has(input.name)) return this.#report('update_volume', input, { status: 'GONE' })
      const volume = this.volumes.get(input.name) ?? { sizeGb: input.sizeGb, driver: memoryServer() }
      this.volumes.set(input.name, volume)
      await this.#report('update_volume', input, {
        status: 'ACTIVE',
        ...(volume.changeId && { changeId: volume.changeId }),
      })
    },
    delete_volume: async input => {
      this.#deletedNames.add(input.name)
      this.volumes.delete(input.name)
      await this.#report('update_volume', input, { status: 'GONE' })
    },
    create_server: async input => {
      if (this.#deletedNames.has(input.name)) return this.#report('update_server', input, { status: 'GONE' })
      const volume = this.volumes.get(input.volume)
      if (!volume) return
      if (!this.servers.has(input.name)) {
        const { flavor, datastore } = input
        if (this.newEnrolment) this.#enrolments.set(input.name, this.newEnrolment(input.userData))
        const guest = this.#createGuest(input.instance, input.generation, this.#createJournal(), volume.driver)
        this.servers.set(input.name, { ...guest, spec: { flavor, datastore } })
        await guest.agent.heartbeat()
      }
      await this.#reportServer(input)
    },
    resize_volume: async input => {
      const volume = this.volumes.get(input.name)
      if (!volume) return
      this.volumes.set(input.name, { ...volume, sizeGb: input.sizeGb, changeId: input.changeId })
      await this.#report('update_volume', input, { status: 'ACTIVE', changeId: input.changeId })
    },
    change_server: async input => {
      const guest = this.servers.get(input.name)
      if (!guest) return
      const { flavor = guest.spec.flavor, datastore = guest.spec.datastore } = input
      this.servers.set(input.name, { ...guest, spec: { flavor, datastore }, changeId: input.changeId })
      await this.#reportServer(input)
    },
    reboot_server: async input => {
      const guest = this.servers.get(input.name)
      if (!guest) return
      if (guest.changeId !== input.changeId) {
        const restarted = this.#createGuest(input.instance, input.generation, guest.journal, guest.driver)
        this.servers.set(input.name, { ...guest, ...restarted, changeId: input.changeId })
        await restarted.agent.heartbeat()
      }
      await this.#reportServer(input)
    },
    delete_server: async input => {
      this.#deletedNames.add(input.name)
      this.servers.delete(input.name)
      await this.#report('update_server', input, { status: 'GONE' })
    },
  }

  #reportServer(part: PartRef): Promise<void> {
    const { changeId } = this.servers.get(part.name) ?? {}
    const addresses = [{ address: '127.1.1.1', port: 5432, type: 'private' as const }]
    return this.#report('update_server', part, {
      status: 'ACTIVE',
      addresses,
      ...(changeId !== undefined && { changeId }),
    })
  }

  #createGuest(instance: string, generation: number, journal: Journal, driver: Guest['driver']): Omit<Guest, 'spec'> {
    const topic = guestTopic(instance, generation)
    let status: 'building' | 'healthy' | 'shutdown' | 'failed' = journal.last() > 0 ? 'healthy' : 'building'
    const agent: Agent = new Agent({
      subject: guestSubject(instance),
      generation,
      topic,
      conductor: CONDUCTOR_TOPIC,
      queue: this.#queue,
      sealer: sealer(this.#enrolments.get(`server-${instance}-${generation}`)?.sealKeys() ?? this.#keys),
      journal,
      driver,
      clock: this.#clock,
      random: this.#random,
      sequence: this.#agentSequence,
      log: silentLog,
      version: 'sim',
      health: () => ({ status }),
      onQuery: () => {},
      onSuccess: async method => {
        if (!STATUS_CHANGING.includes(method)) return
        status = method === 'stop_db' ? 'shutdown' : 'healthy'
        await agent.heartbeat()
      },
      onFailure: method => {
        if (method === 'prepare') status = 'failed'
      },
    })
    return { agent, topic, journal, driver }
  }

  #report(method: string, { name, instance, project }: PartRef, state: MachineState): Promise<void> {
    return this.sendReport(method, { name, instance, project, state })
  }

  /** Sends a report as this host. */
  async sendReport(method: string, input: object): Promise<void> {
    this.#sequence += 1
    const subject = hostSubject(this.#hostId)
    const header = { subject, generation: 0, direction: 'up', kind: 'report', id: this.#random.uuid() } as const
    const report = { method, input, sequence: this.#sequence }
    const body = await sealer(this.#keys).seal({ ...header, expires: this.#clock.now() + 600_000 }, report)
    await this.#queue.send(CONDUCTOR_TOPIC, [{ body }])
  }

  /** A journal on a disk that outlives the agent. */
  #createJournal(): Journal {
    const ends: CommandEnd[] = []
    const last = () => ends.at(-1)?.number ?? 0
    let current = 0
    return {
      last,
      find: number => ends.find(end => end.number === number),
      isUnfinished: number => number === current && number > last(),
      begin: async number => {
        current = number
      },
      add: async end => {
        if (this.failsToWrite(end.number)) throw new Error('ENOSPC: no space left on device, write')
        ends.push(end)
      },
    }
  }
}
