import { join } from 'node:path'
import { jwtVerify, SignJWT } from 'jose'
import { agentRecords } from '../agents/agent.ts'
import { CONDUCTOR_TOPIC, guestTopic, hostTopic } from '../contracts/conductor.ts'
import type { HostAccess } from '../contracts/host-access.ts'
import type { QueueAccess } from '../contracts/queue-access.ts'
import { TASKMANAGER_TOPIC } from '../contracts/taskmanager.ts'
import type { Datastores } from '../datastores/manifest.ts'
import type { Log } from '../kit/clock.ts'
import { derivedKeys, type Keys } from '../kit/crypto/keys.ts'
import type { Metrics } from '../kit/metrics.ts'
import { allDatastores } from '../model/catalog.ts'
import { allHosts } from '../model/placement.ts'
import type { Platform } from '../platform/platform.ts'
import { type EmbeddedQueue, embeddedQueue } from '../platform/queue/embedded/queue.ts'
import { keyfileSecrets } from '../platform/secrets/keyfile/secrets.ts'
import type { Sync } from '../platform/store/sqlite/commit-sync.ts'
import { type SqliteStore, sqliteStore } from '../platform/store/sqlite/store.ts'
import { memoryThrottle } from '../platform/throttle/memory/throttle.ts'
import type { Grant } from '../ports/queue.ts'
import { buildHostAccess, hostRights, sharedParts } from './common.ts'
import { socketPath } from './socket-path.ts'
import { systemClock as clock, systemRandom as random, steadyClock } from './system.ts'

interface EmbeddedOptions {
  dataDir: string
  log: Log
  enrolUrl(): string
  publicUrl: string | undefined
  /** Requests a minute for each project and verb; 0 = no limit. */
  rate: number
  metrics: Metrics
  /** The host that has the instances of a time before there were several. Default: HOST_ID. */
  hostId?: string
  /** Other datastores than those of the code, for tests. */
  datastores?: Datastores
  /** Replaces fdatasync of the store's log, for measurements on another disk. */
  sync?: Sync | undefined
  /** Called whenever a caller begins to wait for the disk. */
  onDiskWait?: () => void
}

/** The cloud on one machine: everything embedded, in one process and its data directory. */
export interface EmbeddedCloud {
  platform: Platform & { store: SqliteStore; queue: EmbeddedQueue }
  /** The socket at which other processes of the machine reach the queue. */
  socket: string
  /** What a token admits to on the queue; undefined if it is not valid. */
  admit(token: string): Promise<Grant | undefined>
  /** What the daemon of this host (default: the first one) needs to connect; its topic exists afterwards. */
  hostAccess(hostId?: string): Promise<HostAccess>
}

export const HOST_ID = 'local'
/** Of the database and of its log, each. Below 16 MB of log SQLite needs no more shared memory, which takes space too. */
const RESERVE_BYTES = 12 * 1024 * 1024
/** Long, as a host's credentials are written anew at each start. */
const HOST_ACCESS_MS = 365 * 86_400_000

export async function embeddedCloud(options: EmbeddedOptions): Promise<EmbeddedCloud> {
  const { dataDir, log, enrolUrl, publicUrl, rate, metrics, datastores, hostId: firstHost = HOST_ID } = options
  const secrets = keyfileSecrets({ path: join(dataDir, 'master.key'), random, clock, log })
  const keys = derivedKeys(secrets)
  const reserve = { bytes: RESERVE_BYTES }
  const store = sqliteStore(join(dataDir, 'coffer.db'), {
    clock,
    sync: options.sync,
    onWait: options.onDiskWait,
    reserve,
  })
  const queue = embeddedQueue({ clock: steadyClock, random })
  const processId = random.uuid()
  const socket = await socketPath(dataDir, random)
  const grantAccess = async (grant: Grant): Promise<QueueAccess> => ({
    kind: 'socket',
    address: socket,
    token: await queueToken(keys, grant),
  })
  const platform = {
    ...sharedParts({ store, queue, secrets, keys, hostId: firstHost, log, datastores }),
    processId,
    // A data directory has one control plane: any other holder of a lease is dead.
    isProcessAlive: (other: string) => other === processId,
    enrolUrl,
    queueCredentials: grantAccess,
    publicUrl,
    // There is one process only.
    throttle: memoryThrottle(clock, rate),
    metrics,
  }
  await declareTopics(platform, firstHost)
  await allDatastores(platform)
  return {
    platform,
    socket,
    admit: token => verifyQueueToken(keys, token),
    async hostAccess(hostId = firstHost) {
      await queue.declare(hostTopic(hostId))
      const access = await grantAccess({ ...hostRights(hostId), expires: clock.now() + HOST_ACCESS_MS })
      return buildHostAccess(keys, hostId, access)
    },
  }
}

/** Declares all topics: the queue is in memory and lost them, and its doorbells, when the process ended. */
async function declareTopics({ store, queue }: Pick<Platform, 'store' | 'queue'>, firstHost: string): Promise<void> {
  const hostIds = (await allHosts(store)).map(({ body }) => body.id)
  const hostTopics = [firstHost, ...hostIds].map(hostTopic)
  for (const topic of [TASKMANAGER_TOPIC, CONDUCTOR_TOPIC, ...hostTopics]) await queue.declare(topic)
  let after: string | undefined
  do {
    const page = await agentRecords.all(store, { limit: 1_000, ...(after !== undefined && { after }) })
    for (const { body } of page.items) await queue.declare(guestTopic(body.instance, body.generation))
    after = page.next
  } while (after !== undefined)
}

async function queueToken(keys: Keys, { receive, send, expires }: Grant): Promise<string> {
  const kid = await keys.currentId()
  return new SignJWT({ receive, send })
    .setProtectedHeader({ alg: 'HS256', kid })
    .setAudience('queue')
    .setExpirationTime(Math.floor(expires / 1000))
    .sign(await keys.derive(kid, 'queue-access'))
}

async function verifyQueueToken(keys: Keys, token: string): Promise<Grant | undefined> {
  try {
    const key = ({ kid }: { kid?: string }) => keys.derive(String(kid), 'queue-access')
    const { payload } = await jwtVerify(token, key, {
      algorithms: ['HS256'],
      audience: 'queue',
      currentDate: new Date(clock.now()),
    })
    const { receive, send, exp = 0 } = payload
    return { receive: topics(receive), send: topics(send), expires: exp * 1000 }
  } catch {
    return undefined
  }
}

const topics = (value: unknown) => (Array.isArray(value) ? value.map(String) : [])
