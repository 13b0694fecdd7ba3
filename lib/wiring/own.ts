import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { CONDUCTOR_TOPIC, hostSubject, hostTopic } from '../contracts/conductor.ts'
import { TASKMANAGER_TOPIC } from '../contracts/taskmanager.ts'
import { allDatastores } from '../datastores/catalog.ts'
import type { Log } from '../kit/clock.ts'
import { derivedKeys, type Keys } from '../kit/keys.ts'
import type { Metrics } from '../kit/metrics.ts'
import { storedThrottle } from '../kit/throttle/stored.ts'
import type { Platform } from '../platform/platform.ts'
import type { Grant } from '../platform/queue/queue.ts'
import { rabbitmqQueue } from '../platform/queue/rabbitmq.ts'
import { rabbitmqUsers } from '../platform/queue/rabbitmq-access.ts'
import { keyfileSecrets } from '../platform/secrets/keyfile.ts'
import { type PostgresqlStore, postgresqlStore } from '../platform/store/postgresql.ts'
import { type Boots, watchedBoots } from './boots.ts'
import { common } from './common.ts'
import { HOST_ID } from './embedded.ts'
import { systemClock as clock, systemRandom as random } from './system.ts'

const Address = z.string().min(1)

/** The environment of a process on your own machines. */
export const OwnSettings = z.object({
  COFFER_POSTGRESQL_URL: Address,
  COFFER_POSTGRESQL_CONNECTIONS: z.coerce.number().int().min(1).max(500).default(10),
  COFFER_RABBITMQ_URL: Address,
  COFFER_RABBITMQ_MANAGEMENT_URL: Address,
  /** Where instances reach the server, if not where this process does; without name and password. */
  COFFER_RABBITMQ_GUEST_URL: Address.optional(),
  /** A file of certificates (PEM) that the server's must come from. */
  COFFER_RABBITMQ_CA: Address.optional(),
  /** The file of master keys, the same in all processes. */
  COFFER_KEY_FILE: Address,
  /** The base of every link, which is where agents enrol too. */
  PUBLIC_URL: Address,
})
export type OwnSettings = z.infer<typeof OwnSettings>

export interface OwnOptions {
  settings: OwnSettings
  log: Log
  /** Requests a minute for each project and verb; 0 = no limit. */
  rate: number
  metrics: Metrics
}

/** One process of a control plane around PostgreSQL and RabbitMQ. */
export interface Own {
  platform: Platform & { store: PostgresqlStore }
  boots: Boots
  /** What the host daemon needs to take part. */
  hostAccess(): Promise<{
    topic: string
    conductor: string
    queue: { url: string; username: string; password: string; ca?: string }
    kid: string
    keys: { down: string; up: string }
  }>
  /** The first password of an account: the same from every process. */
  firstPassword(user: string): Promise<string>
  close(): Promise<void>
}

const HOUR_MS = 3_600_000

export async function own({ settings, log, rate, metrics }: OwnOptions): Promise<Own> {
  const bus = await busOf(settings)
  const secrets = keyfileSecrets(settings.COFFER_KEY_FILE, random)
  const keys = derivedKeys(secrets)
  const store = await postgresqlStore({
    url: settings.COFFER_POSTGRESQL_URL,
    connections: settings.COFFER_POSTGRESQL_CONNECTIONS,
    clock,
    random,
    log,
  })
  const users = rabbitmqUsers({ management: settings.COFFER_RABBITMQ_MANAGEMENT_URL, vhost: bus.vhost, random })
  const server = rabbitmqQueue({ access: async () => bus.own, shared: [CONDUCTOR_TOPIC], clock, random, log })
  const queue = {
    ...server,
    // What is removed besides is the machine's user.
    async remove(topic: string) {
      await server.remove(topic)
      await users.revoke(topic)
    },
  }
  const boot = random.uuid()
  const boots = await watchedBoots({ store, clock, log, boot })

  /** A user named as its topic, with a password that changes with `use`. */
  async function granted(grant: Pick<Grant, 'receive' | 'send'>, use: string) {
    const [username = ''] = grant.receive
    const password = await derived(keys, 'rabbitmq', username, use)
    await users.grant(username, password, grant)
    return { ...bus.guests, username, password }
  }

  const platform = {
    ...common({ store, queue, secrets, keys, hostId: HOST_ID, log }),
    boot,
    isLive: boots.isLive,
    enrolUrl: () => `${settings.PUBLIC_URL}/enrol`,
    // Two processes that are asked within the same hour give the same: neither makes the other's void.
    access: async (grant: Grant) => ({
      kind: 'rabbitmq' as const,
      ...(await granted(grant, String(Math.floor(grant.expires / HOUR_MS)))),
    }),
    publicUrl: settings.PUBLIC_URL,
    throttle: storedThrottle(store, clock, rate),
    metrics,
  }
  for (const topic of [TASKMANAGER_TOPIC, CONDUCTOR_TOPIC, hostTopic(HOST_ID)]) await queue.declare(topic)
  await allDatastores(platform)
  return {
    platform,
    boots,
    async hostAccess() {
      const topic = hostTopic(HOST_ID)
      const kid = await keys.currentId()
      const key = (direction: 'down' | 'up') => derived(keys, 'seal', hostSubject(HOST_ID), 0, direction)
      const queue = await granted({ receive: [topic], send: [CONDUCTOR_TOPIC] }, 'host')
      return { topic, conductor: CONDUCTOR_TOPIC, queue, kid, keys: { down: await key('down'), up: await key('up') } }
    },
    firstPassword: user => derived(keys, 'first-password', user),
    async close() {
      await boots.close().catch(() => {})
      await queue.close()
      await store.close()
    },
  }
}

async function derived(keys: Keys, ...use: (string | number)[]): Promise<string> {
  return Buffer.from(await keys.derive(await keys.currentId(), ...use)).toString('base64url')
}

/** Where the bus is, for this process and for machines. */
async function busOf(settings: OwnSettings) {
  const url = new URL(settings.COFFER_RABBITMQ_URL)
  const caFile = settings.COFFER_RABBITMQ_CA
  const ca = caFile === undefined ? {} : { ca: await readFile(caFile, 'utf8') }
  const guests = new URL(settings.COFFER_RABBITMQ_GUEST_URL ?? url.href)
  guests.username = ''
  guests.password = ''
  return {
    vhost: decodeURIComponent(url.pathname.slice(1)) || '/',
    own: { url: url.href, ...ca },
    guests: { url: guests.href, ...ca },
  }
}
