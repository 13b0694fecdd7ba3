import { receiveMessage } from '../../lib/conductor/reports.ts'
import { TASKMANAGER_TOPIC, Task } from '../../lib/contracts/taskmanager.ts'
import type { Datastores } from '../../lib/datastores/manifest.ts'
import { MANIFESTS } from '../../lib/datastores/manifests.ts'
import { memoryManifest } from '../../lib/datastores/memory/manifest.ts'
import { sagas } from '../../lib/instances/index.ts'
import { inProcessSignals } from '../../lib/kit/async/signals.ts'
import { derivedKeys } from '../../lib/kit/crypto/keys.ts'
import { BadSeal, derivedSealKeys, sealer } from '../../lib/kit/crypto/seal.ts'
import { vault } from '../../lib/kit/crypto/vault.ts'
import { noMetrics } from '../../lib/kit/metrics.ts'
import { MAX_ATTEMPTS } from '../../lib/kit/rpc/batch.ts'
import { BadMessage } from '../../lib/kit/rpc/contract.ts'
import type { SagaRunner } from '../../lib/kit/saga/runner.ts'
import { authority } from '../../lib/kit/tls/ca.ts'
import { allDatastores } from '../../lib/model/catalog.ts'
import { hostCompute } from '../../lib/platform/compute/host/compute.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { type EmbeddedQueue, embeddedQueue } from '../../lib/platform/queue/embedded/queue.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite/store.ts'
import { noThrottle } from '../../lib/platform/throttle/leaky-bucket.ts'
import type { Message, Queue } from '../../lib/ports/queue.ts'
import type { Store } from '../../lib/ports/store.ts'
import { operationRunner } from '../../lib/taskmanager/runner.ts'
import { processDue } from '../../lib/taskmanager/scheduler.ts'
import { seededRandom, silentLog } from '../kit/random.ts'
import { masterKey, secretsOf } from '../kit/secrets.ts'
import { virtualClock } from '../kit/virtual-clock.ts'
import { type Faults, faultyBus, NO_FAULTS } from './bus.ts'
import { SimEnrolment } from './enrolment.ts'
import { hostReport, recordHosts } from './hosts.ts'
import { SimMachine } from './machine.ts'
import { CONDUCTOR_TOPIC, HOST_ID, hostTopic } from './names.ts'
import type { WorldOptions, WorldStore } from './options.ts'

/** Thrown where the simulated control plane dies. */
export class Crash extends Error {}

/** When the control plane dies: before or after its nth effect (a transaction or a message), counted from 1. */
export interface CrashPoint {
  effect: number
  when: 'before' | 'after'
}

/** A simulated machine runs every datastore in memory. The first is the default. */
export const SIM_DATASTORES: Datastores = { manifests: { memory: memoryManifest, ...MANIFESTS } }

/** The whole system in one process: real control plane and agents, simulated machine, virtual time, seeded random. */
export class World {
  readonly clock = virtualClock()
  readonly store: WorldStore
  readonly queue: EmbeddedQueue
  /** The last one is the current one. */
  readonly masterKeys = [masterKey('k1', 7)]
  /** The machine of the first host. */
  readonly machine: SimMachine
  /** The machines by their hosts' ids. */
  readonly machines: ReadonlyMap<string, SimMachine>
  /** Hosts that do nothing now, nor do their agents, and of which nothing is heard. */
  readonly silentHosts = new Set<string>()
  faults: Faults = NO_FAULTS
  /** Topics whose messages all get lost. */
  readonly droppedTopics = new Set<string>()
  /** The control plane that runs now. */
  platform: Platform
  #runner: SagaRunner<Platform>
  #boots = 0
  #effects = 0
  #crashAt: CrashPoint | undefined
  #dead = false
  readonly #random
  readonly #keys

  /** Kinds of records that the control plane has written. */
  readonly writtenKinds = new Set<string>()

  readonly #options: WorldOptions

  constructor(seed = 1, options: WorldOptions = {}) {
    const { store = clock => sqliteStore(':memory:', { clock }), queue = inner => inner } = options
    this.#options = options
    this.#random = seededRandom(seed)
    this.store = store(this.clock)
    this.queue = queue(embeddedQueue({ clock: this.clock, random: seededRandom(1) }))
    this.#keys = derivedKeys(secretsOf(this.masterKeys))
    const hostIds = options.hosts?.map(({ id }) => id) ?? [HOST_ID]
    const newMachine = (id: string) =>
      new SimMachine(this.#faultyBus(), derivedSealKeys(this.#keys), this.clock, this.#random, id)
    this.machines = new Map(hostIds.map(id => [id, newMachine(id)]))
    this.machine = [...this.machines.values()][0]!
    if (options.agentsEnrol) {
      for (const machine of this.machines.values())
        machine.newEnrolment = userData => new SimEnrolment(() => this.platform, userData)
    }
    this.platform = this.#bootPlatform()
    this.#runner = operationRunner(this.platform, sagas)
  }

  /** How many effects (transactions and messages) the control plane has had. */
  get effects(): number {
    return this.#effects
  }

  crashAt(point: CrashPoint): void {
    this.#crashAt = point
  }

  async open(): Promise<this> {
    const hostTopics = [...this.machines.keys()].map(hostTopic)
    for (const topic of [TASKMANAGER_TOPIC, CONDUCTOR_TOPIC, ...hostTopics]) await this.queue.declare(topic)
    const platform = { ...this.platform, store: this.store }
    await allDatastores(platform)
    await recordHosts(platform, this.#options.hosts)
    return this
  }

  /** Runs operations with another runner, for example with a step that fails. */
  runWith(runner: (platform: Platform) => SagaRunner<Platform>): void {
    this.#makeRunner = runner
    this.#runner = runner(this.platform)
  }
  #makeRunner = (platform: Platform) => operationRunner(platform, sagas)

  /** Handles messages and lets time pass until `isDone`, or throws after so many virtual milliseconds. */
  async until(what: string, isDone: () => Promise<boolean>, ms = 1_800_000): Promise<void> {
    const end = this.clock.now() + ms
    while (!(await isDone())) {
      if (this.clock.now() > end) throw new Error(`no ${what} in time: ${JSON.stringify(await this.sagas())}`)
      await this.#runInProcess(() => this.#work())
    }
  }

  async sagas(): Promise<unknown[]> {
    return (await this.store.all('saga', { limit: 100 })).items.map(({ body }) => body)
  }

  /** Runs a request in the control plane; undefined if the control plane crashed in it and was started again. */
  request<T>(work: (platform: Platform) => Promise<T>): Promise<T | undefined> {
    return this.#runInProcess(() => work(this.platform))
  }

  async #work(): Promise<void> {
    if (await this.#deliverMessages()) return
    await this.clock.advance(250)
    for (const [id, machine] of this.#liveMachines()) {
      await machine.heartbeats()
      const { ramMb } = this.#options.hosts?.find(host => host.id === id) ?? {}
      if (ramMb !== undefined) await machine.announce(hostReport(this.platform.datastores, ramMb))
    }
    if (this.#options.periodic === false) return
    await processDue(this.platform, await this.platform.store.due(this.clock.now(), 100))
  }

  #liveMachines(): [string, SimMachine][] {
    return [...this.machines].filter(([id]) => !this.silentHosts.has(id))
  }

  /** Handles the messages that are on the queues now; false if there were none. */
  async #deliverMessages(): Promise<boolean> {
    let anyHandled = false
    const topics: [string, (message: Message) => Promise<void>][] = [
      [TASKMANAGER_TOPIC, message => this.#handleTask(message)],
      [CONDUCTOR_TOPIC, message => this.#handleReport(message)],
    ]
    for (const [id, machine] of this.#liveMachines()) {
      topics.push([hostTopic(id), message => machine.handleMessage(message)])
      for (const { topic, agent } of machine.servers.values()) topics.push([topic, message => agent.take(message)])
    }
    for (const [topic, handle] of topics) {
      if (!this.queue.topics().includes(topic)) continue
      for (const message of await this.queue.receive(topic, { max: 10, waitMs: 0 })) {
        anyHandled = true
        await handle(message)
        if (this.queue.topics().includes(topic)) await this.queue.ack(topic, [message.receipt])
      }
    }
    return anyHandled
  }

  async #handleTask({ body, attempt }: Message): Promise<void> {
    const task = Task.safeParse(parseJson(body))
    if (!task.success) return
    const { project, operation_id: id } = Object(task.data.input)
    if (typeof project !== 'string' || typeof id !== 'string') return
    await this.#runner.run(project, id, this.clock.now() + 45_000, attempt >= MAX_ATTEMPTS)
  }

  async #handleReport({ body }: Message): Promise<void> {
    try {
      await receiveMessage(this.platform, body)
    } catch (error) {
      if (!(error instanceof BadSeal || error instanceof BadMessage)) throw error
    }
  }

  /** Runs work of the control plane; if that dies, a new one starts, as after `kill -9`. */
  async #runInProcess<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      const result = await work()
      if (!this.#dead) return result
    } catch (error) {
      if (!(error instanceof Crash) && !this.#dead) throw error
    }
    this.restart()
    return undefined
  }

  /** Starts a new control plane on the same store; the leases of the old one are void. */
  restart(): void {
    this.#dead = false
    this.platform = this.#bootPlatform()
    this.#runner = this.#makeRunner(this.platform)
  }

  #faultyBus() {
    return faultyBus(this.queue, this.#random, topic =>
      this.droppedTopics.has(topic) ? { ...NO_FAULTS, lost: 100 } : this.faults,
    )
  }

  #bootPlatform(): Platform {
    const processId = `boot-${++this.#boots}`
    const { clock } = this
    const random = this.#random
    const transact: Store['transact'] = changes => {
      for (const { op, key } of changes) if (op === 'put') this.writtenKinds.add(key.id.slice(0, key.id.indexOf('#')))
      return this.#countEffect(() => this.store.transact(changes))
    }
    const store: Store = { ...this.store, transact }
    const faulty = this.#faultyBus()
    const queue = {
      ...faulty,
      send: (...args: Parameters<Queue['send']>) => this.#countEffect(() => faulty.send(...args)),
    }
    const seals = sealer(derivedSealKeys(this.#keys))
    return {
      store,
      queue,
      compute:
        this.#options.compute?.({ store, clock }) ??
        hostCompute({ hostId: HOST_ID, queue, store, sealer: seals, clock, random }),
      identity: { verify: async () => undefined },
      identityService: undefined,
      keys: this.#keys,
      sealer: seals,
      vault: vault(this.#keys),
      signals: { ...inProcessSignals(clock), ...(this.#options.separateProcesses && { deliver: () => false }) },
      clock,
      random,
      log: silentLog,
      processId,
      isProcessAlive: other => other === processId,
      enrolUrl: () => 'http://127.0.0.1/enrol',
      queueCredentials: async () => ({ kind: 'socket', address: '', token: '' }),
      publicUrl: undefined,
      authority: authority({ keys: this.#keys, store, clock, random }),
      throttle: noThrottle,
      metrics: noMetrics,
      datastores: this.#options.datastores ?? SIM_DATASTORES,
      delaysDoorbells: this.#options.delaysDoorbells ?? false,
    }
  }

  /** Counts an effect, and dies at the chosen one: from then on this process has no effects. */
  async #countEffect<T>(work: () => Promise<T>): Promise<T> {
    if (this.#dead) throw new Crash()
    this.#effects += 1
    const crash = this.#crashAt?.effect === this.#effects ? this.#crashAt.when : undefined
    if (crash === 'before') return this.#die()
    const result = await work()
    return crash === 'after' ? this.#die() : result
  }

  #die(): never {
    this.#dead = true
    throw new Crash()
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
