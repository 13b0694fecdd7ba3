import { generateKeyPair, SignJWT } from 'jose'
import { handler as api } from '../../functions/api.ts'
import { handler as authorizer } from '../../functions/authorizer.ts'
import { handler as periodic } from '../../functions/periodic.ts'
import { enrolSecret } from '../../lib/agents/enrol-secret.ts'
import { enrol } from '../../lib/conductor/enrol.ts'
import { CONDUCTOR_TOPIC, guestSubject } from '../../lib/contracts/conductor.ts'
import { TASKMANAGER_TOPIC } from '../../lib/contracts/taskmanager.ts'
import type { ApiEvent } from '../../lib/kit/http/pipeline.ts'
import { type Instance, instances } from '../../lib/model/instance.ts'
import { statusOf } from '../../lib/model/instance-status.ts'
import { builtinIdentity } from '../../lib/platform/identity/builtin/identity.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import type { EmbeddedQueue } from '../../lib/platform/queue/embedded/queue.ts'
import { batches, encodeSqsBody } from '../../lib/platform/queue/sqs/body.ts'
import { dynamodbStore } from '../../lib/platform/store/dynamodb/store.ts'
import { storedThrottle } from '../../lib/platform/throttle/stored/throttle.ts'
import { DATASTORES } from '../../lib/wiring/common.ts'
import { setPlatform } from '../../lib/wiring/current.ts'
import { authorizerEvent, contextOf, type Incoming, proxyEvent } from '../../local/gateway/events.ts'
import { seededRandom } from '../kit/random.ts'
import { secretsOf } from '../kit/secrets.ts'
import { World } from '../sim/world.ts'
import type { Counts, Figures } from './counts.ts'

const CHUNK_BYTES = 64 * 1024
/** The longest delay of a doorbell: SQS delays by fifteen minutes at most. */
const MAX_DELAY_MS = 960_000
const PROJECT = 'demo'
const RATE = 200
/** The functions that Lambda calls for a queue, once for each message as long as there are few. */
const CALLS = { [TASKMANAGER_TOPIC]: 'taskmanagerCalls', [CONDUCTOR_TOPIC]: 'conductorCalls' } as const

const master = { id: 'k1', bytes: seededRandom(7).bytes(32) }
const chunks = (bytes: number) => Math.max(1, Math.ceil(bytes / CHUNK_BYTES))
const bytesOf = (messages: { body: string }[]) =>
  messages.reduce((sum, { body }) => sum + Buffer.byteLength(encodeSqsBody(body)), 0)

/** Counts as SQS does: a batch is one request for each 64 KB. Empty receives depend on time only: see `idleGuest`. */
function countingQueue(inner: EmbeddedQueue, counts: Counts): EmbeddedQueue {
  const acked = new Set<string>()
  return {
    ...inner,
    async declare(topic) {
      counts.add('sqsRequests')
      await inner.declare(topic)
    },
    async remove(topic) {
      counts.add('sqsRequests')
      await inner.remove(topic)
    },
    async send(topic, messages) {
      for (const part of batches(messages, ({ body }) => Buffer.byteLength(encodeSqsBody(body))))
        counts.add('sqsRequests', chunks(bytesOf(part)))
      await inner.send(topic, messages)
    },
    async receive(topic, options) {
      const messages = await inner.receive(topic, options)
      const call = topic === TASKMANAGER_TOPIC || topic === CONDUCTOR_TOPIC ? CALLS[topic] : undefined
      if (call) {
        if (messages.length > 0) counts.add(call, messages.length)
        // Lambda's pollers receive and delete at our expense.
        for (const message of messages) counts.add('sqsRequests', chunks(bytesOf([message])) + 1)
      } else if (messages.length > 0) counts.add('sqsRequests', chunks(bytesOf(messages)))
      return messages
    },
    async ack(topic, receipts) {
      const fresh = receipts.filter(receipt => !acked.has(receipt))
      for (const receipt of fresh) acked.add(receipt)
      if (fresh.length > 0 && topic !== TASKMANAGER_TOPIC && topic !== CONDUCTOR_TOPIC) counts.add('sqsRequests')
      await inner.ack(topic, receipts)
    },
  }
}

/** The control plane as it is wired for AWS, on counting backends, with simulated guests. */
export class CostWorld {
  readonly counts: Counts
  readonly #world: World
  readonly #platform: Platform

  #token = ''

  private constructor(counts: Counts, world: World) {
    this.counts = counts
    this.#world = world
    const { platform } = world
    const { store, clock, random } = platform
    const identity = builtinIdentity({ store, clock, random, secrets: secretsOf([master]) })
    this.#platform = {
      ...platform,
      throttle: storedThrottle(store, clock, RATE),
      identity,
      identityService: identity,
      // One request for the address of the agent's queue; AssumeRole is free.
      queueCredentials: async grant => {
        counts.add('sqsRequests')
        return platform.queueCredentials(grant)
      },
    }
    setPlatform(this.#platform)
    // Reports of idle agents are measured separately.
    world.machine.heartbeats = async () => {}
    const take = world.machine.handleMessage.bind(world.machine)
    world.machine.handleMessage = async message => {
      await this.#enrolAll()
      await take(message)
    }
  }

  static async open(counts: Counts, endpoint: string): Promise<CostWorld> {
    const credentials = async () => ({ accessKeyId: 'x', secretAccessKey: 'x' })
    const world = new World(1, {
      datastores: DATASTORES,
      delaysDoorbells: true,
      periodic: false,
      separateProcesses: true,
      queue: inner => countingQueue(inner, counts),
      store: clock => ({
        ...dynamodbStore({
          clock,
          random: seededRandom(3),
          table: 'coffer',
          connection: { region: 'us-east-1', endpoint, credentials },
        }),
        sweepExpired: () => 0,
      }),
    })
    await world.open()
    const opened = new CostWorld(counts, world)
    await opened.#logIn()
    return opened
  }

  async #logIn(): Promise<void> {
    const { identityService: identity } = this.#platform
    if (!identity) throw new Error('no identity')
    const { id, name, epoch } = await identity.accounts.createUser({ name: 'ann', password: 'secret1' })
    const project = { id: PROJECT, name: PROJECT }
    const claims = { user: { id, name }, project, roles: ['member'], methods: ['password'], epoch }
    this.#token = (await identity.tokens.issue(claims)).token
  }

  close(): Promise<void> {
    return this.#world.store.close()
  }

  /** An API request through API Gateway, whose authorizer's result is not cached. */
  request(method: string, path: string, body?: object): Promise<Figures> {
    return this.counts.during(async () => {
      const { statusCode } = await this.#send(method, path, body)
      if (statusCode >= 300) throw new Error(`${method} ${path} failed with ${statusCode}`)
    })
  }

  async #send(method: string, path: string, body?: object) {
    const { counts } = this
    const incoming: Incoming = {
      method,
      path: `/v1.0/${PROJECT}${path}`,
      search: '',
      headers: { 'x-auth-token': this.#token, host: 'localhost', ...(body && { 'content-type': 'application/json' }) },
      body: body ? JSON.stringify(body) : '',
      remote: '127.0.0.1',
    }
    counts.add('apiRequests')
    counts.add('authorizerCalls')
    counts.add('apiCalls')
    const { context } = await authorizer(authorizerEvent(incoming), contextOf('authorizer', 29_000))
    let done = false
    const response = api(proxyEvent(incoming, { ...context }) as ApiEvent<Platform>, contextOf('api', 29_000)).finally(
      () => {
        done = true
      },
    )
    // An agent answers queries while the request waits.
    await this.#world.until('answer', async () => done)
    return response
  }

  /** A create from its request until no message is left, with the agent's enrolment. */
  create(name: string): Promise<Figures> {
    return this.counts.during(async () => {
      await this.#send('POST', '/instances', { instance: bodyOf(name) })
      await this.#settle()
      const instance = await this.counts.uncounted(() => this.instance(name))
      if (!instance || statusOf(instance) !== 'ACTIVE') throw new Error(`${name} is not ACTIVE`)
    })
  }

  delete(name: string): Promise<Figures> {
    return this.counts.during(async () => {
      const instance = await this.counts.uncounted(() => this.instance(name))
      await this.#send('DELETE', `/instances/${instance?.id}`)
      await this.#settle()
      if (await this.counts.uncounted(() => this.instance(name))) throw new Error(`${name} is still there`)
    })
  }

  /** One report of an idle agent. */
  report(): Promise<Figures> {
    return this.counts.during(async () => {
      const [guest] = this.#world.machine.servers.values()
      await guest?.agent.heartbeat()
      await this.#settle()
    })
  }

  /** One run of `periodic` with nothing due. */
  check(): Promise<Figures> {
    return this.counts.during(async () => {
      this.counts.add('periodicCalls')
      await periodic(Object.create(null), contextOf('periodic', 60_000))
    })
  }

  readonly #keys = generateKeyPair('Ed25519')

  readonly #enrolled = new Set<string>()

  /** Agents enrol before they report for the first time. */
  async #enrolAll(): Promise<void> {
    const { publicKey } = await this.#keys
    const { x = '' } = await crypto.subtle.exportKey('jwk', publicKey)
    for (const { id, generation } of await this.counts.uncounted(() => this.#instances())) {
      if (this.#enrolled.has(id)) continue
      this.#enrolled.add(id)
      const secret = await enrolSecret(this.#platform.keys, id, generation)
      this.#callsEnrol()
      const key = { kty: 'OKP', crv: 'Ed25519', x } as const
      await enrol(this.#platform, { instance: id, generation, secret, publicKey: key })
    }
  }

  /** The renewal of an agent's credentials, as every fifty minutes. */
  renewal(instance: Instance): Promise<Figures> {
    return this.counts.during(async () => {
      const { privateKey } = await this.#keys
      const proof = await new SignJWT({})
        .setProtectedHeader({ alg: 'EdDSA' })
        .setAudience('enrol')
        .setSubject(guestSubject(instance.id))
        .setIssuedAt(Math.floor(this.#platform.clock.now() / 1_000))
        .sign(privateKey)
      this.#callsEnrol()
      await enrol(this.#platform, { instance: instance.id, generation: instance.generation, proof })
    })
  }

  #callsEnrol(): void {
    this.counts.add('apiRequests')
    this.counts.add('enrolCalls')
  }

  async instance(name: string): Promise<Instance | undefined> {
    return (await this.#instances()).find(instance => instance.name === name)
  }

  async #instances(): Promise<Instance[]> {
    const items = await instances.list(this.#world.store, PROJECT, { limit: 100 })
    return items.map(({ body }) => body)
  }

  /** Waits until all messages have been handled, delayed doorbells too. */
  #settle(): Promise<void> {
    const end = this.#world.clock.now() + MAX_DELAY_MS
    return this.#world.until('end', async () => this.#world.clock.now() >= end)
  }
}

const bodyOf = (name: string) => ({
  name,
  flavorRef: 1,
  volume: { size: 1 },
  databases: [{ name: 'cart' }],
  users: [{ name: 'ann', password: 'secret1', databases: [{ name: 'cart' }] }],
})
