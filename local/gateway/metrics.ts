import { performance } from 'node:perf_hooks'
import { CONDUCTOR_TOPIC, hostTopic } from '../../lib/contracts/conductor.ts'
import { TASKMANAGER_TOPIC } from '../../lib/contracts/taskmanager.ts'
import type { SagaRecord } from '../../lib/kit/saga/saga.ts'
import type { Host } from '../../lib/model/host.ts'
import { HEARTBEAT_EXPIRY_MS } from '../../lib/model/instance-status.ts'
import { allHosts, memoryInUse } from '../../lib/model/placement.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import type { EmbeddedQueue } from '../../lib/platform/queue/embedded/queue.ts'
import type { Queue } from '../../lib/ports/queue.ts'
import { keyProgress } from '../../lib/taskmanager/key-rotation.ts'
import { family, type Registry } from '../metrics.ts'
import type { FairQueue } from './fair-queue.ts'

/** What `/metrics` reads. */
export interface MetricsSources {
  platform: Pick<Platform, 'store' | 'clock' | 'keys'> & {
    /** A queue on a server of its own reports its depths there. */
    queue: Pick<Queue, 'close'> & Partial<Pick<EmbeddedQueue, 'depth' | 'topics'>>
  }
  registry: Registry
  fairQueue: Pick<FairQueue, 'depth'>
  /** When the control plane started, in milliseconds since the epoch. */
  started: number
}

/** Due records that one scrape reads at most: it must not become a load itself. */
const MAX_DUE = 5_000
const GUEST_TOPIC = /^guest-(.+)-\d+$/

/**
 * All metrics in Prometheus' text format. The cost grows with what is running: it reads counters, the hosts, the depth
 * of the components' topics, the index of due records (operations under way), and the topics of live agents in memory.
 */
export async function metricsText(sources: MetricsSources): Promise<string> {
  const { fairQueue, registry } = sources
  const { waiting, running } = fairQueue.depth()
  const hosts = (await allHosts(sources.platform.store)).map(({ body }) => body)
  return [
    registry.text(),
    family('coffer_requests_waiting', 'gauge', [{ value: waiting }]),
    family('coffer_requests_running', 'gauge', [{ value: running }]),
    queues(sources, hosts),
    await memory(sources, hosts),
    await operations(sources),
    space(sources),
    guests(sources),
    await masterKeys(sources),
    processText(sources.started),
  ].join('')
}

const HOST_STATES = ['active', 'draining', 'silent'] as const

async function memory({ platform: { store } }: MetricsSources, hosts: Host[]): Promise<string> {
  const states = hosts.map(({ state, silentSince }) => (silentSince === undefined ? state : 'silent'))
  const inUse = await memoryInUse(store)
  return [
    family(
      'coffer_hosts',
      'gauge',
      HOST_STATES.map(state => ({ labels: { state }, value: states.filter(other => other === state).length })),
    ),
    family(
      'coffer_host_memory_mb',
      'gauge',
      hosts.flatMap(({ id: host, ramMb }) => [
        { labels: { host, kind: 'capacity' }, value: ramMb },
        { labels: { host, kind: 'allocated' }, value: inUse.get(host) ?? 0 },
      ]),
    ),
  ].join('')
}

function queues({ platform: { queue } }: MetricsSources, hosts: Host[]): string {
  const { depth: depthOf } = queue
  if (!depthOf) return ''
  const samples = [TASKMANAGER_TOPIC, CONDUCTOR_TOPIC, ...hosts.map(({ id }) => hostTopic(id))].flatMap(topic => {
    const depth = depthOf(topic) ?? { ready: 0, inFlight: 0 }
    return [
      { labels: { topic, state: 'ready' }, value: depth.ready },
      { labels: { topic, state: 'in_flight' }, value: depth.inFlight },
    ]
  })
  return family('coffer_queue_messages', 'gauge', samples)
}

async function operations({ platform: { store, clock } }: MetricsSources): Promise<string> {
  const due = await store.due(Number.MAX_SAFE_INTEGER, MAX_DUE)
  const groups = new Map<string, { labels: { name: string; status: string }; count: number; oldest: number }>()
  for (const { key, body } of due) {
    if (!key.id.startsWith('saga#')) continue
    const { name, parked, status: sagaStatus, started } = body as SagaRecord
    const status = parked ? 'PARKED' : sagaStatus
    const group = groups.get(`${name} ${status}`) ?? { labels: { name, status }, count: 0, oldest: started }
    groups.set(`${name} ${status}`, { ...group, count: group.count + 1, oldest: Math.min(group.oldest, started) })
  }
  const rows = [...groups.values()]
  const now = clock.now()
  const ages = rows.map(({ labels, oldest }) => ({ labels, value: (now - oldest) / 1_000 }))
  return [
    family(
      'coffer_operations',
      'gauge',
      rows.map(({ labels, count }) => ({ labels, value: count })),
    ),
    family('coffer_operation_oldest_seconds', 'gauge', ages),
    family('coffer_operations_uncounted', 'gauge', [{ value: due.length === MAX_DUE ? 1 : 0 }]),
  ].join('')
}

function space({ platform: { store } }: MetricsSources): string {
  const { freeBytes, isShort } = store.space?.() ?? {}
  if (freeBytes === undefined) return ''
  return (
    family('coffer_store_free_bytes', 'gauge', [{ value: freeBytes }]) +
    family('coffer_store_full', 'gauge', [{ value: isShort ? 1 : 0 }])
  )
}

function guests({ platform: { queue, clock }, registry, started }: MetricsSources): string {
  if (!queue.topics) return ''
  const ids = new Set(queue.topics().flatMap(topic => GUEST_TOPIC.exec(topic)?.[1] ?? []))
  const heartbeats = registry.lastHeartbeats(ids)
  const silentSince = clock.now() - HEARTBEAT_EXPIRY_MS
  // After a start every agent has the usual time for its first heartbeat.
  const silent = [...ids].filter(id => (heartbeats.get(id) ?? started) < silentSince)
  return (
    family('coffer_guests', 'gauge', [{ value: ids.size }]) +
    family('coffer_guests_silent', 'gauge', [{ value: silent.length }])
  )
}

/** Shown while there are several master keys, once the records were counted. */
async function masterKeys({ platform }: MetricsSources): Promise<string> {
  const progress = await keyProgress(platform)
  if (!progress) return ''
  const { key, remaining } = progress
  return family('coffer_key_records_remaining', 'gauge', [{ labels: { key }, value: remaining }])
}

let lastUtilization = performance.eventLoopUtilization()

function processText(started: number): string {
  const { user, system } = process.cpuUsage()
  const current = performance.eventLoopUtilization()
  const { utilization } = performance.eventLoopUtilization(current, lastUtilization)
  lastUtilization = current
  return [
    family('process_resident_memory_bytes', 'gauge', [{ value: process.memoryUsage.rss() }]),
    family('process_cpu_seconds_total', 'counter', [{ value: (user + system) / 1e6 }]),
    family('process_start_time_seconds', 'gauge', [{ value: started / 1_000 }]),
    family('nodejs_eventloop_utilization', 'gauge', [{ value: utilization }]),
  ].join('')
}
