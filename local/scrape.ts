import { performance } from 'node:perf_hooks'
import { CONDUCTOR_TOPIC, hostTopic } from '../lib/contracts/conductor.ts'
import { TASKMANAGER_TOPIC } from '../lib/contracts/taskmanager.ts'
import { HEARTBEAT_EXPIRY_MS } from '../lib/instances/instance.ts'
import type { SagaRecord } from '../lib/kit/saga/saga.ts'
import type { Platform } from '../lib/platform/platform.ts'
import type { EmbeddedQueue } from '../lib/platform/queue/embedded.ts'
import type { Queue } from '../lib/platform/queue/queue.ts'
import { HOST_ID } from '../lib/wiring/embedded.ts'
import type { Admission } from './admission.ts'
import { family, type Registry } from './metrics.ts'

/** What `/metrics` looks at. */
export interface Scraped {
  platform: Pick<Platform, 'store' | 'clock'> & {
    /** A queue on a server of its own tells its depths there. */
    queue: Pick<Queue, 'close'> & Partial<Pick<EmbeddedQueue, 'depth' | 'topics'>>
  }
  registry: Registry
  admission: Pick<Admission, 'depth'>
  /** When the control plane started, in milliseconds since the epoch. */
  started: number
}

/** Records with a due time that one look reads at most: it must not weigh on what it looks at. */
const MOST_DUE = 5_000
const GUEST_TOPIC = /^guest-(.+)-\d+$/

/**
 * Everything in Prometheus' text format. Its cost follows what is running: counters, the depth of three topics, the index
 * of due records (operations under way), and the topics of live agents, in memory.
 */
export async function metricsText(scraped: Scraped): Promise<string> {
  const { admission, registry } = scraped
  const { waiting, running } = admission.depth()
  return [
    registry.text(),
    family('coffer_requests_waiting', 'gauge', [{ value: waiting }]),
    family('coffer_requests_running', 'gauge', [{ value: running }]),
    queues(scraped),
    await operations(scraped),
    guests(scraped),
    processText(scraped.started),
  ].join('')
}

function queues({ platform: { queue } }: Scraped): string {
  const { depth: depthOf } = queue
  if (!depthOf) return ''
  const samples = [TASKMANAGER_TOPIC, CONDUCTOR_TOPIC, hostTopic(HOST_ID)].flatMap(topic => {
    const depth = depthOf(topic) ?? { ready: 0, inFlight: 0 }
    return [
      { labels: { topic, state: 'ready' }, value: depth.ready },
      { labels: { topic, state: 'in_flight' }, value: depth.inFlight },
    ]
  })
  return family('coffer_queue_messages', 'gauge', samples)
}

async function operations({ platform: { store, clock } }: Scraped): Promise<string> {
  const due = await store.due(Number.MAX_SAFE_INTEGER, MOST_DUE)
  const groups = new Map<string, { labels: { name: string; status: string }; count: number; oldest: number }>()
  for (const { key, body } of due) {
    if (!key.id.startsWith('saga#')) continue
    const { name, parked, status: word, started } = body as SagaRecord
    const status = parked ? 'PARKED' : word
    const group = groups.get(`${name} ${status}`) ?? { labels: { name, status }, count: 0, oldest: started }
    groups.set(`${name} ${status}`, { ...group, count: group.count + 1, oldest: Math.min(group.oldest, started) })
  }
  const found = [...groups.values()]
  const now = clock.now()
  const ages = found.map(({ labels, oldest }) => ({ labels, value: (now - oldest) / 1_000 }))
  return [
    family(
      'coffer_operations',
      'gauge',
      found.map(({ labels, count }) => ({ labels, value: count })),
    ),
    family('coffer_operation_oldest_seconds', 'gauge', ages),
    family('coffer_operations_uncounted', 'gauge', [{ value: due.length === MOST_DUE ? 1 : 0 }]),
  ].join('')
}

function guests({ platform: { queue, clock }, registry, started }: Scraped): string {
  if (!queue.topics) return ''
  const ids = new Set(queue.topics().flatMap(topic => GUEST_TOPIC.exec(topic)?.[1] ?? []))
  const heard = registry.lastHeard(ids)
  const silentSince = clock.now() - HEARTBEAT_EXPIRY_MS
  // After a start all have the time to report that they have at any time.
  const silent = [...ids].filter(id => (heard.get(id) ?? started) < silentSince)
  return (
    family('coffer_guests', 'gauge', [{ value: ids.size }]) +
    family('coffer_guests_silent', 'gauge', [{ value: silent.length }])
  )
}

let lastLook = performance.eventLoopUtilization()

function processText(started: number): string {
  const { user, system } = process.cpuUsage()
  const look = performance.eventLoopUtilization()
  const { utilization } = performance.eventLoopUtilization(look, lastLook)
  lastLook = look
  return [
    family('process_resident_memory_bytes', 'gauge', [{ value: process.memoryUsage.rss() }]),
    family('process_cpu_seconds_total', 'counter', [{ value: (user + system) / 1e6 }]),
    family('process_start_time_seconds', 'gauge', [{ value: started / 1_000 }]),
    family('nodejs_eventloop_utilization', 'gauge', [{ value: utilization }]),
  ].join('')
}
