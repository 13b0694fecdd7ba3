import { look } from '../../functions/periodic.ts'
import { runnerOf } from '../../functions/taskmanager.ts'
import { TASKMANAGER_TOPIC, Task } from '../../lib/contracts/taskmanager.ts'
import { allDatastores } from '../../lib/datastores/catalog.ts'
import { receive } from '../../lib/guests/reports.ts'
import { MOST_ATTEMPTS } from '../../lib/kit/batch.ts'
import { bells } from '../../lib/kit/bells.ts'
import { authority } from '../../lib/kit/ca.ts'
import type { Clock } from '../../lib/kit/clock.ts'
import { BadMessage } from '../../lib/kit/contract.ts'
import { derivedKeys } from '../../lib/kit/keys.ts'
import { uncounted } from '../../lib/kit/metrics.ts'
import type { SagaRunner } from '../../lib/kit/saga/runner.ts'
import { BadSeal, derivedEnd, sealer } from '../../lib/kit/seal.ts'
import { unlimited } from '../../lib/kit/throttle/throttle.ts'
import { vault } from '../../lib/kit/vault.ts'
import type { Compute } from '../../lib/platform/compute/compute.ts'
import { hostCompute } from '../../lib/platform/compute/host.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { type EmbeddedQueue, embeddedQueue } from '../../lib/platform/queue/embedded.ts'
import type { Message } from '../../lib/platform/queue/queue.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite.ts'
import type { Store } from '../../lib/platform/store/store.ts'
import { seededRandom, silentLog } from '../kit/random.ts'
import { virtualClock } from '../kit/virtual-clock.ts'
import { type Faults, faultyBus, NO_FAULTS } from './bus.ts'
import { SimMachine } from './machine.ts'
import { CONDUCTOR_TOPIC, HOST_ID, hostTopic } from './names.ts'

/** The control plane died at this point. */
export class Crash extends Error {}

/** When the control plane dies: before or after its nth effect (a transaction or a message), counted from 1. */
export interface CrashPoint {
  effect: number
  when: 'before' | 'after'
}

type WorldStore = Store & { sweepExpired(now: number, limit: number): number }

export interface WorldOptions {
  delaysDoorbells?: boolean
  /** false = it never looks, as between two minutes on AWS. */
  periodic?: boolean
  /** The API and the conductor stand in processes of their own, so that none hands the other an answer. */
  apart?: boolean
  /** Backends that do more than the usual ones, as to count. */
  store?: (clock: Clock) => WorldStore
  queue?: (inner: EmbeddedQueue) => EmbeddedQueue
  /** Makes machines elsewhere; left out: the simulated machine does. */
  compute?: (parts: Pick<Platform, 'store' | 'clock'>) => Compute
}

/** The whole system in one place: real control plane, real agents, simulated machine, virtual time, seeded chance. */
export class World {
  readonly clock = virtualClock()
  readonly store: WorldStore
  readonly queue: EmbeddedQueue
  readonly machine: SimMachine
  faults: Faults = NO_FAULTS
  /** Topics whose messages are all lost. */
  readonly deaf = new Set<string>()
  /** The control plane that lives now. */
  platform: Platform
  #runner: SagaRunner<Platform>
  #boots = 0
  #effects = 0
  #crashAt: CrashPoint | undefined
  #dead = false
  readonly #random
  readonly #keys

  /** Kinds of records that the control plane has made. */
  readonly written = new Set<string>()

  readonly #options: WorldOptions

  constructor(seed = 1, options: WorldOptions = {}) {
    const { store = clock => sqliteStore(':memory:', { clock }), queue = inner => inner } = options
    this.#options = options
    this.#random = seededRandom(seed)
    this.store = store(this.clock)
    this.queue = queue(embeddedQueue({ clock: this.clock, random: seededRandom(1) }))
    const master = { id: 'k1', bytes: seededRandom(7).bytes(32) }
    const secrets = { current: async () => master, byId: async () => master }
    this.#keys = derivedKeys(secrets)
    this.machine = new SimMachine(this.#bus(), derivedEnd(this.#keys), this.clock, this.#random)
    this.platform = this.#boot()
    this.#runner = runnerOf(this.platform)
  }

  /** How many effects the control plane has had. */
  get effects(): number {
    return this.#effects
  }

  crashAt(point: CrashPoint): void {
    this.#crashAt = point
  }

  async open(): Promise<this> {
    for (const topic of [TASKMANAGER_TOPIC, CONDUCTOR_TOPIC, hostTopic(HOST_ID)]) await this.queue.declare(topic)
    await allDatastores({ store: this.store })
    return this
  }

  /** Sagas with a step that was tampered with. */
  runWith(runner: (platform: Platform) => SagaRunner<Platform>): void {
    this.#makeRunner = runner
    this.#runner = runner(this.platform)
  }
  #makeRunner = runnerOf

  /** Handles messages and lets time pass until `done`, or throws after so many virtual milliseconds. */
  async until(what: string, done: () => Promise<boolean>, ms = 1_800_000): Promise<void> {
    const end = this.clock.now() + ms
    while (!(await done())) {
      if (this.clock.now() > end) throw new Error(`no ${what} in time: ${JSON.stringify(await this.sagas())}`)
      await this.#asProcess(() => this.#work())
    }
  }

  async sagas(): Promise<unknown[]> {
    return (await this.store.all('saga', { limit: 100 })).items.map(({ body }) => body)
  }

  /** Does what a request does; a crash in the middle of it is survived. */
  request<T>(work: (platform: Platform) => Promise<T>): Promise<T | undefined> {
    return this.#asProcess(() => work(this.platform))
  }

  async #work(): Promise<void> {
    if (await this.#pump()) return
    await this.clock.advance(250)
    await this.machine.heartbeats()
    if (this.#options.periodic === false) return
    await look(this.platform, await this.platform.store.due(this.clock.now(), 100))
  }

  /** Handles what is on the queues now; false if nothing was. */
  async #pump(): Promise<boolean> {
    let busy = false
    const topics: [string, (message: Message) => Promise<void>][] = [
      [TASKMANAGER_TOPIC, message => this.#task(message)],
      [CONDUCTOR_TOPIC, message => this.#report(message)],
      [hostTopic(HOST_ID), message => this.machine.take(message)],
      ...[...this.machine.servers.values()].map(({ topic, agent }): [string, (message: Message) => Promise<void>] => [
        topic,
        message => agent.take(message),
      ]),
    ]
    for (const [topic, handle] of topics) {
      if (!this.queue.topics().includes(topic)) continue
      for (const message of await this.queue.receive(topic, { max: 10, waitMs: 0 })) {
        busy = true
        await handle(message)
        if (this.queue.topics().includes(topic)) await this.queue.ack(topic, [message.receipt])
      }
    }
    return busy
  }

  async #task({ body, attempt }: Message): Promise<void> {
    const task = Task.safeParse(tryJson(body))
    if (!task.success) return
    const { project, operation_id: id } = Object(task.data.input)
    if (typeof project !== 'string' || typeof id !== 'string') return
    await this.#runner.run(project, id, this.clock.now() + 45_000, attempt >= MOST_ATTEMPTS)
  }

  async #report({ body }: Message): Promise<void> {
    try {
      await receive(this.platform, body)
    } catch (error) {
      if (!(error instanceof BadSeal || error instanceof BadMessage)) throw error
    }
  }

  /** Runs as the control plane; if it dies, another one starts, as after `kill -9`. */
  async #asProcess<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      const result = await work()
      if (!this.#dead) return result
    } catch (error) {
      if (!(error instanceof Crash) && !this.#dead) throw error
    }
    this.restart()
    return undefined
  }

  /** A new control plane on the same store; every lease of the old one is void. */
  restart(): void {
    this.#dead = false
    this.platform = this.#boot()
    this.#runner = this.#makeRunner(this.platform)
  }

  #bus() {
    return faultyBus(this.queue, this.#random, topic =>
      this.deaf.has(topic) ? { ...NO_FAULTS, lost: 100 } : this.faults,
    )
  }

  #boot(): Platform {
    const boot = `boot-${++this.#boots}`
    const { clock } = this
    const random = this.#random
    const transact: Store['transact'] = changes => {
      for (const { op, key } of changes) if (op === 'put') this.written.add(key.id.slice(0, key.id.indexOf('#')))
      return this.#effect(() => this.store.transact(changes))
    }
    const store: Store = { ...this.store, transact }
    const bus = this.#bus()
    const queue = { ...bus, send: (...args: Parameters<typeof bus.send>) => this.#effect(() => bus.send(...args)) }
    const seals = sealer(derivedEnd(this.#keys))
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
      bells: { ...bells(clock), ...(this.#options.apart && { hand: () => false }) },
      clock,
      random,
      log: silentLog,
      boot,
      isLive: other => other === boot,
      enrolUrl: () => 'http://127.0.0.1/enrol',
      access: async () => ({ kind: 'socket', address: '', token: '' }),
      publicUrl: undefined,
      authority: authority({ keys: this.#keys, store, clock, random }),
      throttle: unlimited,
      metrics: uncounted,
      delaysDoorbells: this.#options.delaysDoorbells ?? false,
    }
  }

  /** Counts an effect, and dies at the chosen one: from then on nothing of this process has any effect. */
  async #effect<T>(work: () => Promise<T>): Promise<T> {
    if (this.#dead) throw new Crash()
    this.#effects += 1
    const now = this.#crashAt?.effect === this.#effects ? this.#crashAt.when : undefined
    if (now === 'before') return this.#die()
    const result = await work()
    return now === 'after' ? this.#die() : result
  }

  #die(): never {
    this.#dead = true
    throw new Crash()
  }
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
