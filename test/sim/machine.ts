import { Agent } from '../../guest-agent/agent.ts'
import type { Ended, Journal } from '../../guest-agent/journal.ts'
import { HostMessage, type HostMethods, host } from '../../lib/contracts/host.ts'
import type { Driver, Service } from '../../lib/datastores/driver.ts'
import type { Clock, Random } from '../../lib/kit/clock.ts'
import { type Handlers, serve } from '../../lib/kit/contract.ts'
import { type EndKeys, readEnvelope, sealer } from '../../lib/kit/seal.ts'
import type { Message, Queue } from '../../lib/platform/queue/queue.ts'
import { silentLog } from '../kit/random.ts'
import { memoryDriver } from './memory-driver.ts'
import { CONDUCTOR_TOPIC, guestSubject, guestTopic, HOST, type MachineFacts } from './names.ts'

interface Guest {
  wish?: string
  /** What of the flavor and the datastore the server has. */
  spec: { flavor: unknown; datastore: unknown }
  agent: Agent
  topic: string
  journal: Journal
  driver: Driver & Service & { executed: string[] }
}

/** Commands after which the database serves, or does not. */
const SERVES = ['prepare', 'restart', 'stop_db', 'start_db_with_conf_changes', 'upgrade', 'rebuild']

/** A machine that makes volumes and servers at once: a host daemon and its agents, without processes. */
export class SimMachine {
  readonly volumes = new Map<string, { sizeGb: number; wish?: string; driver: Guest['driver'] }>()
  readonly servers = new Map<string, Guest>()
  /** Whether the end of a command cannot be written now: the agent died just before, or its disk is full. */
  unwritten: (number: number) => boolean = () => false
  readonly #deleted = new Set<string>()
  #sent = 0
  readonly #queue: Queue
  readonly #keys: EndKeys
  readonly #clock: Clock
  readonly #random: Random

  constructor(queue: Queue, keys: EndKeys, clock: Clock, random: Random) {
    this.#queue = queue
    this.#keys = keys
    this.#clock = clock
    this.#random = random
  }

  get topics(): string[] {
    return [...this.servers.values()].map(({ topic }) => topic)
  }

  /** A message on the host's queue. */
  async take({ body }: Message): Promise<void> {
    try {
      const envelope = readEnvelope(body)
      const { method, input } = HostMessage.parse(await sealer(this.#keys).open(envelope))
      await serve<HostMethods, undefined>(host, this.#handlers)(method, input, undefined)
    } catch {
      // Dropped, as the daemon does with what it cannot open.
    }
  }

  /** The agents started again, as after a crash: the journal on their disk stays. */
  async restartAgents(): Promise<void> {
    for (const [name, guest] of this.servers) {
      const [, instance = '', generation = '1'] = /^server-(.*)-(\d+)$/.exec(name) ?? []
      const again = this.#guest(instance, Number(generation), guest.journal, guest.driver)
      this.servers.set(name, { ...guest, ...again })
      await again.agent.heartbeat()
    }
  }

  #beat = 0
  /** What every agent says once a minute. */
  async heartbeats(): Promise<void> {
    if (this.#clock.now() < this.#beat + 60_000) return
    this.#beat = this.#clock.now()
    for (const { agent } of this.servers.values()) await agent.heartbeat()
  }

  readonly #handlers: Handlers<HostMethods, undefined> = {
    create_volume: async wish => {
      if (this.#deleted.has(wish.name)) return this.#tell('update_volume', wish, { status: 'GONE' })
      const volume = this.volumes.get(wish.name) ?? { sizeGb: wish.sizeGb, driver: memoryDriver() }
      this.volumes.set(wish.name, volume)
      await this.#tell('update_volume', wish, { status: 'ACTIVE', ...(volume.wish && { wish: volume.wish }) })
    },
    delete_volume: async wish => {
      this.#deleted.add(wish.name)
      this.volumes.delete(wish.name)
      await this.#tell('update_volume', wish, { status: 'GONE' })
    },
    create_server: async wish => {
      if (this.#deleted.has(wish.name)) return this.#tell('update_server', wish, { status: 'GONE' })
      const volume = this.volumes.get(wish.volume)
      if (!volume) return
      if (!this.servers.has(wish.name)) {
        const { flavor, datastore } = wish
        const guest = this.#guest(wish.instance, wish.generation, this.#journal(), volume.driver)
        this.servers.set(wish.name, { ...guest, spec: { flavor, datastore } })
        await guest.agent.heartbeat()
      }
      await this.#tellServer(wish)
    },
    resize_volume: async wish => {
      const volume = this.volumes.get(wish.name)
      if (!volume) return
      this.volumes.set(wish.name, { ...volume, sizeGb: wish.sizeGb, wish: wish.wish })
      await this.#tell('update_volume', wish, { status: 'ACTIVE', wish: wish.wish })
    },
    change_server: async wish => {
      const guest = this.servers.get(wish.name)
      if (!guest) return
      const { flavor = guest.spec.flavor, datastore = guest.spec.datastore } = wish
      this.servers.set(wish.name, { ...guest, spec: { flavor, datastore }, wish: wish.wish })
      await this.#tellServer(wish)
    },
    reboot_server: async wish => {
      const guest = this.servers.get(wish.name)
      if (!guest) return
      if (guest.wish !== wish.wish) {
        const again = this.#guest(wish.instance, wish.generation, guest.journal, guest.driver)
        this.servers.set(wish.name, { ...guest, ...again, wish: wish.wish })
        await again.agent.heartbeat()
      }
      await this.#tellServer(wish)
    },
    delete_server: async wish => {
      this.#deleted.add(wish.name)
      this.servers.delete(wish.name)
      await this.#tell('update_server', wish, { status: 'GONE' })
    },
  }

  #tellServer(of: { name: string; instance: string; project: string }): Promise<void> {
    const { wish } = this.servers.get(of.name) ?? {}
    const addresses = [{ address: '127.1.1.1', port: 5432, type: 'private' as const }]
    return this.#tell('update_server', of, { status: 'ACTIVE', addresses, ...(wish !== undefined && { wish }) })
  }

  #guest(instance: string, generation: number, journal: Journal, driver: Guest['driver']): Omit<Guest, 'spec'> {
    const topic = guestTopic(instance, generation)
    let status: 'building' | 'healthy' | 'shutdown' | 'failed' = journal.last() > 0 ? 'healthy' : 'building'
    const agent: Agent = new Agent({
      subject: guestSubject(instance),
      generation,
      topic,
      conductor: CONDUCTOR_TOPIC,
      queue: this.#queue,
      sealer: sealer(this.#keys),
      journal,
      driver,
      clock: this.#clock,
      random: this.#random,
      log: silentLog,
      version: 'sim',
      health: () => ({ status }),
      asked: () => {},
      succeeded: async method => {
        if (!SERVES.includes(method)) return
        status = method === 'stop_db' ? 'shutdown' : 'healthy'
        await agent.heartbeat()
      },
      failed: method => {
        if (method === 'prepare') status = 'failed'
      },
    })
    return { agent, topic, journal, driver }
  }

  async #tell(
    method: string,
    of: { name: string; instance: string; project: string },
    facts: MachineFacts,
  ): Promise<void> {
    this.#sent += 1
    const { name, instance, project } = of
    const outer = { subject: HOST, generation: 0, direction: 'up', kind: 'report', id: this.#random.uuid() } as const
    const report = { method, input: { name, instance, project, facts }, sent: this.#sent }
    const body = await sealer(this.#keys).seal({ ...outer, expires: this.#clock.now() + 600_000 }, report)
    await this.#queue.send(CONDUCTOR_TOPIC, [{ body }])
  }

  /** A journal on a disk that outlives the agent. */
  #journal(): Journal {
    const endings: Ended[] = []
    const last = () => endings.at(-1)?.number ?? 0
    let begun = 0
    return {
      last,
      find: number => endings.find(ended => ended.number === number),
      begun: number => number === begun && number > last(),
      begin: async number => {
        begun = number
      },
      add: async ended => {
        if (this.unwritten(ended.number)) throw new Error('ENOSPC: no space left on device, write')
        endings.push(ended)
      },
    }
  }
}
