import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jwtVerify, SignJWT } from 'jose'
import { CONDUCTOR_TOPIC, guestTopic, hostSubject, hostTopic } from '../contracts/conductor.ts'
import { TASKMANAGER_TOPIC } from '../contracts/taskmanager.ts'
import { allDatastores } from '../datastores/catalog.ts'
import { guests } from '../guests/guest.ts'
import type { Log } from '../kit/clock.ts'
import { derivedKeys, type Keys } from '../kit/keys.ts'
import type { Metrics } from '../kit/metrics.ts'
import { memoryThrottle } from '../kit/throttle/memory.ts'
import type { Platform } from '../platform/platform.ts'
import { type EmbeddedQueue, embeddedQueue } from '../platform/queue/embedded.ts'
import type { Grant } from '../platform/queue/queue.ts'
import { keyfileSecrets } from '../platform/secrets/keyfile.ts'
import { type SqliteStore, sqliteStore } from '../platform/store/sqlite.ts'
import { common } from './common.ts'
import { systemClock as clock, systemRandom as random } from './system.ts'

export interface EmbeddedOptions {
  dataDir: string
  log: Log
  enrolUrl(): string
  publicUrl: string | undefined
  /** Requests a minute for each project and verb; 0 = no limit. */
  rate: number
  metrics: Metrics
}

/** The cloud on one machine: everything embedded, in one process and its data directory. */
export interface Embedded {
  platform: Platform & { store: SqliteStore; queue: EmbeddedQueue }
  /** The socket at which other processes of the machine reach the queue. */
  socket: string
  /** What a token admits to the queue, if it is genuine. */
  admit(token: string): Promise<Grant | undefined>
  /** What the host daemon needs to take part. */
  hostAccess(): Promise<{
    topic: string
    conductor: string
    queue: { path: string; token: string }
    kid: string
    keys: { down: string; up: string }
  }>
}

export const HOST_ID = 'local'
/** A host's credentials are written anew at each start. */
const HOST_ACCESS_MS = 365 * 86_400_000

export async function embedded(options: EmbeddedOptions): Promise<Embedded> {
  const { dataDir, log, enrolUrl, publicUrl, rate, metrics } = options
  const secrets = keyfileSecrets(join(dataDir, 'master.key'), random)
  const keys = derivedKeys(secrets)
  const store = sqliteStore(join(dataDir, 'coffer.db'), { clock })
  const queue = embeddedQueue({ clock, random })
  const boot = random.uuid()
  const socket = socketPath(dataDir)
  const platform = {
    ...common({ store, queue, secrets, keys, hostId: HOST_ID, log }),
    boot,
    // There is one control plane on a data directory: whoever held a lease before is dead.
    isLive: (other: string) => other === boot,
    enrolUrl,
    access: async (grant: Grant) => ({
      kind: 'socket' as const,
      address: socket,
      token: await queueToken(keys, grant),
    }),
    publicUrl,
    // One process serves here.
    throttle: memoryThrottle(clock, rate),
    metrics,
  }
  await declareTopics(platform)
  await allDatastores(platform)
  return {
    platform,
    socket,
    admit: token => admitted(keys, token),
    async hostAccess() {
      const topic = hostTopic(HOST_ID)
      const grant = { receive: [topic], send: [CONDUCTOR_TOPIC], expires: clock.now() + HOST_ACCESS_MS }
      const kid = await keys.currentId()
      const key = async (direction: 'down' | 'up') =>
        Buffer.from(await keys.derive(kid, 'seal', hostSubject(HOST_ID), 0, direction)).toString('base64url')
      const queue = { path: socket, token: await queueToken(keys, grant) }
      return { topic, conductor: CONDUCTOR_TOPIC, queue, kid, keys: { down: await key('down'), up: await key('up') } }
    },
  }
}

/** The queue is in memory: after a restart its topics are declared again, its doorbells are gone. */
async function declareTopics({ store, queue }: Pick<Platform, 'store' | 'queue'>): Promise<void> {
  for (const topic of [TASKMANAGER_TOPIC, CONDUCTOR_TOPIC, hostTopic(HOST_ID)]) await queue.declare(topic)
  let after: string | undefined
  do {
    const page = await guests.all(store, { limit: 1_000, ...(after !== undefined && { after }) })
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

async function admitted(keys: Keys, token: string): Promise<Grant | undefined> {
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

/** In the data directory, or where its path is too long for a socket (107 bytes), in the directory for temporary files. */
function socketPath(dataDir: string): string {
  const inside = join(dataDir, 'queue.sock')
  if (Buffer.byteLength(inside) <= 100) return inside
  return join(tmpdir(), `coffer-${createHash('sha256').update(dataDir).digest('hex').slice(0, 16)}.sock`)
}
