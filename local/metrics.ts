import type { Labels, Metrics } from '../lib/kit/metrics.ts'

/** Upper bounds of the buckets of durations, in seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
/** Descriptions by metric. */
const HELP: Record<string, string> = {
  coffer_requests_total: 'Requests by method, route and status.',
  coffer_request_seconds: 'Duration of requests, waiting in the queue included.',
  coffer_connections_dropped_total: 'Connections closed at once, because 5,000 were open.',
  coffer_requests_throttled_total: "Requests refused by a limit: 413 by Trove's, 429 by a usage plan.",
  coffer_requests_waiting: 'Requests waiting in the queue.',
  coffer_requests_running: 'Requests being handled.',
  coffer_messages_dropped_total: 'Messages dropped, by topic and reason.',
  coffer_messages_failed_total: 'Deliveries that failed and are repeated, by topic.',
  coffer_queue_messages: "Messages on the components' topics: ready, or received and not yet acknowledged.",
  coffer_hosts: 'Hosts by state.',
  coffer_host_memory_mb: 'Memory of each host, and how much of it its instances have.',
  coffer_operations: 'Operations under way by name and status.',
  coffer_operation_oldest_seconds: 'Age of the oldest operation under way by name and status.',
  coffer_operations_ended_total: 'Operations that ended, by name and status.',
  coffer_operations_uncounted: '1 if more records are due than were read: the counts of operations are then too low.',
  coffer_store_free_bytes: 'Free space on the disk of the store.',
  coffer_store_full: '1 while changes other than deletes and logins are refused for lack of space.',
  coffer_key_records_remaining:
    'Records that still need an older master key than the current one: at 0 the older ones can be removed.',
  coffer_guests: 'Agents of all instances.',
  coffer_guests_silent: 'Agents without a heartbeat for 150 s, or since the start.',
  process_resident_memory_bytes: 'Memory of the control plane.',
  process_cpu_seconds_total: 'CPU time of the control plane.',
  process_start_time_seconds: 'Start time of the control plane, in seconds since the epoch.',
  nodejs_eventloop_utilization: 'Share of the time since the last scrape in which the event loop was busy.',
}

interface Histogram {
  labels: Labels
  counts: number[]
  sum: number
  count: number
}

/** Counters, histograms and the agents' last heartbeats, in memory. */
export interface Registry extends Metrics {
  /** All counters and histograms in Prometheus' text format. */
  text(): string
  /** Times of the last heartbeats by id, in milliseconds since the epoch; forgets those not in `ids`. */
  lastHeartbeats(ids: Set<string>): Map<string, number>
}

export function registry(): Registry {
  const counters = new Map<string, Map<string, { labels: Labels; value: number }>>()
  const histograms = new Map<string, Map<string, Histogram>>()
  const heartbeats = new Map<string, number>()

  return {
    count(name, labels = {}, by = 1) {
      const entry = entryOf(counters, name, labels, () => ({ labels, value: 0 }))
      entry.value += by
    },
    observe(name, labels, seconds) {
      const empty = () => ({ labels, counts: BUCKETS.map(() => 0), sum: 0, count: 0 })
      const entry = entryOf(histograms, name, labels, empty)
      const slot = BUCKETS.findIndex(bound => seconds <= bound)
      if (slot >= 0) entry.counts[slot]!++
      entry.sum += seconds
      entry.count++
    },
    recordHeartbeat(id, time) {
      heartbeats.set(id, time)
    },
    lastHeartbeats(ids) {
      for (const id of heartbeats.keys()) if (!ids.has(id)) heartbeats.delete(id)
      return heartbeats
    },
    text() {
      const counterTexts = [...counters].map(([name, entries]) => family(name, 'counter', [...entries.values()]))
      const histogramTexts = [...histograms].map(([name, entries]) => histogramText(name, [...entries.values()]))
      return [...counterTexts, ...histogramTexts].join('')
    },
  }
}

function entryOf<T>(families: Map<string, Map<string, T>>, name: string, labels: Labels, create: () => T): T {
  const entries = families.get(name) ?? new Map<string, T>()
  families.set(name, entries)
  const key = labelText(labels)
  const entry = entries.get(key) ?? create()
  entries.set(key, entry)
  return entry
}

/** A gauge or counter with its samples, in Prometheus' text format. */
export function family(name: string, type: 'counter' | 'gauge', samples: { labels?: Labels; value: number }[]): string {
  return head(name, type) + samples.map(({ labels = {}, value }) => `${name}${labelText(labels)} ${value}\n`).join('')
}

function histogramText(name: string, histograms: Histogram[]): string {
  const lines = histograms.flatMap(({ labels, counts, sum, count }) => {
    let cumulative = 0
    const buckets = counts.map((inBucket, slot) => {
      cumulative += inBucket
      return `${name}_bucket${labelText({ ...labels, le: String(BUCKETS[slot]) })} ${cumulative}\n`
    })
    const infinity = `${name}_bucket${labelText({ ...labels, le: '+Inf' })} ${count}\n`
    return [
      ...buckets,
      infinity,
      `${name}_sum${labelText(labels)} ${sum}\n`,
      `${name}_count${labelText(labels)} ${count}\n`,
    ]
  })
  return head(name, 'histogram') + lines.join('')
}

const head = (name: string, type: string) => `# HELP ${name} ${HELP[name] ?? name}\n# TYPE ${name} ${type}\n`

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(String(value))}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

const escapeLabel = (value: string) =>
  /[\\"\n]/.test(value) ? value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') : value
