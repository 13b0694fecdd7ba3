import type { Labels, Metrics } from '../lib/kit/metrics.ts'

/** Upper bounds of the buckets of durations, in seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
/** What each metric is, by its name. */
const HELP: Record<string, string> = {
  coffer_requests_total: 'Requests by method, route and status.',
  coffer_request_seconds: 'How long requests took, waiting for their turn included.',
  coffer_requests_throttled_total: "Requests refused by a limit: 413 by Trove's, 429 by a usage plan.",
  coffer_requests_waiting: 'Requests that wait for their turn.',
  coffer_requests_running: 'Requests that have a place.',
  coffer_messages_dropped_total: 'Messages dropped, by topic and why.',
  coffer_messages_failed_total: 'Deliveries that failed and come again, by topic.',
  coffer_queue_messages: "Messages of the components' topics: ready, or received and not done.",
  coffer_operations: 'Operations under way by name and status.',
  coffer_operation_oldest_seconds: 'Age of the oldest operation under way by name and status.',
  coffer_operations_ended_total: 'Operations that ended, by name and status.',
  coffer_operations_uncounted: '1 if more is due than was looked at: the figures of operations are then too low.',
  coffer_guests: 'Agents that there are.',
  coffer_guests_silent: 'Agents that were not heard for 150 s, or since the start.',
  process_resident_memory_bytes: 'Memory of the control plane.',
  process_cpu_seconds_total: 'CPU time of the control plane.',
  process_start_time_seconds: 'When it started, in seconds since the epoch.',
  nodejs_eventloop_utilization: 'Share of time since the last look in which the event loop was busy.',
}

interface Histogram {
  labels: Labels
  counts: number[]
  sum: number
  count: number
}

/** Counters and histograms in memory, and who was heard when. */
export interface Registry extends Metrics {
  /** What was counted so far, as Prometheus text. */
  text(): string
  /** When an id was heard last; what is not in `ids` is forgotten. */
  lastHeard(ids: Set<string>): Map<string, number>
}

export function registry(): Registry {
  const counters = new Map<string, Map<string, { labels: Labels; value: number }>>()
  const histograms = new Map<string, Map<string, Histogram>>()
  const pulses = new Map<string, number>()

  return {
    count(name, labels = {}, by = 1) {
      const entry = entryOf(counters, name, labels, () => ({ labels, value: 0 }))
      entry.value += by
    },
    observe(name, labels, seconds) {
      const make = () => ({ labels, counts: BUCKETS.map(() => 0), sum: 0, count: 0 })
      const entry = entryOf(histograms, name, labels, make)
      const slot = BUCKETS.findIndex(bound => seconds <= bound)
      if (slot >= 0) entry.counts[slot]!++
      entry.sum += seconds
      entry.count++
    },
    heard(id, at) {
      pulses.set(id, at)
    },
    lastHeard(ids) {
      for (const id of pulses.keys()) if (!ids.has(id)) pulses.delete(id)
      return pulses
    },
    text() {
      const counted = [...counters].map(([name, entries]) => family(name, 'counter', [...entries.values()]))
      const observed = [...histograms].map(([name, entries]) => histogramText(name, [...entries.values()]))
      return [...counted, ...observed].join('')
    },
  }
}

function entryOf<T>(families: Map<string, Map<string, T>>, name: string, labels: Labels, make: () => T): T {
  const entries = families.get(name) ?? new Map<string, T>()
  families.set(name, entries)
  const key = labelText(labels)
  const entry = entries.get(key) ?? make()
  entries.set(key, entry)
  return entry
}

/** One family of a gauge or counter in Prometheus' text format. */
export function family(name: string, type: 'counter' | 'gauge', samples: { labels?: Labels; value: number }[]): string {
  return head(name, type) + samples.map(({ labels = {}, value }) => `${name}${labelText(labels)} ${value}\n`).join('')
}

function histogramText(name: string, histograms: Histogram[]): string {
  const lines = histograms.flatMap(({ labels, counts, sum, count }) => {
    let below = 0
    const buckets = counts.map((here, slot) => {
      below += here
      return `${name}_bucket${labelText({ ...labels, le: String(BUCKETS[slot]) })} ${below}\n`
    })
    const all = `${name}_bucket${labelText({ ...labels, le: '+Inf' })} ${count}\n`
    return [...buckets, all, `${name}_sum${labelText(labels)} ${sum}\n`, `${name}_count${labelText(labels)} ${count}\n`]
  })
  return head(name, 'histogram') + lines.join('')
}

const head = (name: string, type: string) => `# HELP ${name} ${HELP[name] ?? name}\n# TYPE ${name} ${type}\n`

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(String(value))}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

const escaped = (value: string) =>
  /[\\"\n]/.test(value) ? value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') : value
