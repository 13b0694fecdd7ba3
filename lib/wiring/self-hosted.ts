import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { CONDUCTOR_TOPIC, hostTopic } from '../contracts/conductor.ts'
import type { HostAccess } from '../contracts/host-access.ts'
import type { QueueAccess } from '../contracts/queue-access.ts'
import { TASKMANAGER_TOPIC } from '../contracts/taskmanager.ts'
import type { Log } from '../kit/clock.ts'
import { derivedKeys, type Keys } from '../kit/crypto/keys.ts'
import type { Metrics } from '../kit/metrics.ts'
import { allDatastores } from '../model/catalog.ts'
import type { Platform } from '../platform/platform.ts'
import { type RabbitmqUsers, rabbitmqUsers } from '../platform/queue/rabbitmq/access.ts'
import { rabbitmqQueue } from '../platform/queue/rabbitmq/queue.ts'
import { keyfileSecrets } from '../platform/secrets/keyfile/secrets.ts'
import { type PostgresqlStore, postgresqlStore } from '../platform/store/postgresql/store.ts'
import { storedThrottle } from '../platform/throttle/stored/throttle.ts'
import type { Grant, Queue } from '../ports/queue.ts'
import { buildHostAccess, hostRights, sharedParts } from './common.ts'
import { HOST_ID } from './embedded.ts'
import { type LiveProcesses, watchLiveProcesses } from './live-processes.ts'
import { systemClock as clock, systemRandom as random } from './system.ts'

const Required = z.string().min(1)

/** The environment of a process on your own machines. */
export const SelfHostedSettings = z.object({
  COFFER_POSTGRESQL_URL: Required,
  COFFER_POSTGRESQL_CONNECTIONS: z.coerce.number().int().min(1).max(500).default(10),
  COFFER_RABBITMQ_URL: Required,
  COFFER_RABBITMQ_MANAGEMENT_URL: Required,
  /** Where instances reach the server, if that differs; without name and password. */
  COFFER_RABBITMQ_GUEST_URL: Required.optional(),
  /** A file of CA certificates (PEM) that the server's certificate must come from. */
  COFFER_RABBITMQ_CA: Required.optional(),
  /** The file of master keys, the same in all processes. */
  COFFER_KEY_FILE: Required,
  /** The base of every link, where agents enrol too. */
  PUBLIC_URL: Required,
})
export type SelfHostedSettings = z.infer<typeof SelfHostedSettings>

interface SelfHostedOptions {
  settings: SelfHostedSettings
  log: Log
  /** Requests a minute for each project and verb; 0 = no limit. */
  rate: number
  metrics: Metrics
}

/** One process of a control plane around PostgreSQL and RabbitMQ. */
export interface SelfHosted {
  platform: Platform & { store: PostgresqlStore }
  processes: LiveProcesses
  /** What the daemon of this host (default: HOST_ID) needs to connect; its topic exists afterwards. */
  hostAccess(hostId?: string): Promise<HostAccess>
  /** The first password of an account: the same from every process. */
  firstPassword(user: string): Promise<string>
  close(): Promise<void>
}

const HOUR_MS = 3_600_000

export async function selfHosted({ settings, log, rate, metrics }: SelfHostedOptions): Promise<SelfHosted> {
  const endpoints = await rabbitmqEndpoints(settings)
  const secrets = keyfileSecrets({ path: settings.COFFER_KEY_FILE, random, clock, log })
  const keys = derivedKeys(secrets)
  const store = await postgresqlStore({
    url: settings.COFFER_POSTGRESQL_URL,
    connections: settings.COFFER_POSTGRESQL_CONNECTIONS,
    clock,
    random,
    log,
  })
  const users = rabbitmqUsers({ management: settings.COFFER_RABBITMQ_MANAGEMENT_URL, vhost: endpoints.vhost, random })
  const queue = queueWithUsers(
    rabbitmqQueue({ access: async () => endpoints.controlPlane, shared: [CONDUCTOR_TOPIC], clock, random, log }),
    users,
  )
  const processId = random.uuid()
  const processes = await watchLiveProcesses({ store, clock, log, processId })
  const grantAccess = (grant: Pick<Grant, 'receive' | 'send'>, use: string) =>
    grantUser({ keys, users, endpoint: endpoints.machines }, grant, use)
  const platform = {
    ...sharedParts({ store, queue, secrets, keys, hostId: HOST_ID, log }),
    processId,
    isProcessAlive: (other: string) => processes.isProcessAlive(other),
    enrolUrl: () => `${settings.PUBLIC_URL}/enrol`,
    // Within an hour all processes give the same password, so that none revokes another's.
    queueCredentials: (grant: Grant) => grantAccess(grant, String(Math.floor(grant.expires / HOUR_MS))),
    publicUrl: settings.PUBLIC_URL,
    throttle: storedThrottle(store, clock, rate),
    metrics,
  }
  for (const topic of [TASKMANAGER_TOPIC, CONDUCTOR_TOPIC, hostTopic(HOST_ID)]) await queue.declare(topic)
  await allDatastores(platform)
  return {
    platform,
    processes,
    async hostAccess(hostId = HOST_ID) {
      await queue.declare(hostTopic(hostId))
      return buildHostAccess(keys, hostId, await grantAccess(hostRights(hostId), 'host'))
    },
    firstPassword: user => derivePassword(keys, 'first-password', user),
    async close() {
      await processes.close().catch(() => {})
      await queue.close()
      await store.close()
    },
  }
}

/** The queue, which removes a topic's user together with the topic. */
function queueWithUsers<Q extends Queue>(queue: Q, users: RabbitmqUsers): Q {
  return {
    ...queue,
    async remove(topic: string) {
      await queue.remove(topic)
      await users.revoke(topic)
    },
  }
}

interface UserGrants {
  keys: Keys
  users: RabbitmqUsers
  endpoint: { url: string; ca?: string }
}

/** Creates or updates the user named as the topic it receives from; its password is derived from `use`. */
async function grantUser(
  { keys, users, endpoint }: UserGrants,
  grant: Pick<Grant, 'receive' | 'send'>,
  use: string,
): Promise<QueueAccess> {
  const [username = ''] = grant.receive
  const password = await derivePassword(keys, 'rabbitmq', username, use)
  await users.grant(username, password, grant)
  return { kind: 'rabbitmq', ...endpoint, username, password }
}

async function derivePassword(keys: Keys, ...use: string[]): Promise<string> {
  return Buffer.from(await keys.derive(await keys.currentId(), ...use)).toString('base64url')
}

/** How the control plane and the machines reach the RabbitMQ server. */
async function rabbitmqEndpoints(settings: SelfHostedSettings) {
  const url = new URL(settings.COFFER_RABBITMQ_URL)
  const caFile = settings.COFFER_RABBITMQ_CA
  const ca = caFile === undefined ? {} : { ca: await readFile(caFile, 'utf8') }
  const machines = new URL(settings.COFFER_RABBITMQ_GUEST_URL ?? url.href)
  machines.username = ''
  machines.password = ''
  return {
    vhost: decodeURIComponent(url.pathname.slice(1)) || '/',
    controlPlane: { url: url.href, ...ca },
    machines: { url: machines.href, ...ca },
  }
}
