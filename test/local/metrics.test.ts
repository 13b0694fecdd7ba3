import { describe, expect, it } from '@jest/globals'
import { beginning, type SagaRecord, sagas } from '../../lib/kit/saga/saga.ts'
import { embeddedQueue } from '../../lib/platform/queue/embedded.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite.ts'
import { isLocal } from '../../local/edge.ts'
import { family, registry } from '../../local/metrics.ts'
import { metricsText } from '../../local/scrape.ts'
import { seededRandom } from '../kit/random.ts'
import { virtualClock } from '../kit/virtual-clock.ts'

describe('the registry', () => {
  it('writes counters and histograms as Prometheus reads them', () => {
    const counted = registry()
    counted.count('coffer_requests_total', { method: 'GET', status: 200 })
    counted.count('coffer_requests_total', { method: 'GET', status: 200 })
    counted.count('coffer_requests_total', { method: 'GET', status: 404 }, 3)
    counted.observe('coffer_request_seconds', { method: 'GET' }, 0.0025)
    counted.observe('coffer_request_seconds', { method: 'GET' }, 0.3)
    counted.observe('coffer_request_seconds', { method: 'GET' }, 99.5)
    const lines = counted.text().split('\n')
    expect(lines.slice(0, 4)).toEqual([
      '# HELP coffer_requests_total Requests by method, route and status.',
      '# TYPE coffer_requests_total counter',
      'coffer_requests_total{method="GET",status="200"} 2',
      'coffer_requests_total{method="GET",status="404"} 3',
    ])
    expect(lines).toContain('# TYPE coffer_request_seconds histogram')
    const bucket = (le: string) =>
      lines.find(line => line.startsWith(`coffer_request_seconds_bucket{method="GET",le="${le}"}`))?.split(' ')[1]
    expect(['0.001', '0.0025', '0.25', '0.5', '30', '+Inf'].map(bucket)).toEqual(['0', '1', '1', '2', '2', '3'])
    expect(lines).toContain('coffer_request_seconds_sum{method="GET"} 99.8025')
    expect(lines).toContain('coffer_request_seconds_count{method="GET"} 3')
  })

  it('escapes what a label may hold', () => {
    expect(family('x', 'gauge', [{ labels: { a: 'q"\\\n' }, value: 1 }])).toContain('x{a="q\\"\\\\\\n"} 1\n')
  })
})

function setUp() {
  const clock = virtualClock()
  const queue = embeddedQueue({ clock, random: seededRandom(1) })
  const store = sqliteStore(':memory:', { clock })
  const counted = registry()
  const started = clock.now()
  const admission = { depth: () => ({ waiting: 7, running: 2 }) }
  const look = () => metricsText({ platform: { queue, store, clock }, registry: counted, admission, started })
  return { clock, queue, store, counted, look }
}

const asked = (id: string, name = 'create_instance') => ({
  id,
  name,
  project: 'demo',
  instance: `of-${id}`,
  requestId: 'req-1',
  request: {},
})

describe('a look', () => {
  it('counts operations under way by name and status, and their age', async () => {
    const { clock, store, look } = setUp()
    const now = clock.now()
    await store.transact([beginning(asked('1'), now - 5_000), beginning(asked('2'), now)])
    await store.transact([beginning(asked('3', 'delete_instance'), now)])
    const over = (await sagas.get(store, 'demo', '2'))!
    const parked: SagaRecord = { ...over.body, status: 'UNDOING', parked: true }
    await store.transact([sagas.replace(over, parked)])
    await clock.advance(1_000)
    const text = await look()
    expect(text).toContain('coffer_operations{name="create_instance",status="RUNNING"} 1\n')
    expect(text).toContain('coffer_operations{name="create_instance",status="PARKED"} 1\n')
    expect(text).toContain('coffer_operations{name="delete_instance",status="RUNNING"} 1\n')
    expect(text).toContain('coffer_operation_oldest_seconds{name="create_instance",status="RUNNING"} 6\n')
    expect(text).toContain('coffer_operations_uncounted 0\n')
  })

  it('reads no record of what has ended', async () => {
    const { clock, store, look } = setUp()
    await store.transact([beginning(asked('1'), clock.now())])
    const item = (await sagas.get(store, 'demo', '1'))!
    await store.transact([sagas.replace(item, { ...item.body, status: 'DONE' }, { due: undefined })])
    expect(await store.due(Number.MAX_SAFE_INTEGER, 10)).toEqual([])
    expect(await look()).not.toContain('coffer_operations{')
  })

  it('tells the depth of the components’ topics and of the gateway', async () => {
    const { queue, look } = setUp()
    for (const topic of ['taskmanager', 'conductor', 'host-local']) await queue.declare(topic)
    await queue.send('taskmanager', [{ body: 'a' }, { body: 'b' }])
    await queue.receive('taskmanager', { max: 1, waitMs: 0 })
    const text = await look()
    expect(text).toContain('coffer_queue_messages{topic="taskmanager",state="ready"} 1\n')
    expect(text).toContain('coffer_queue_messages{topic="taskmanager",state="in_flight"} 1\n')
    expect(text).toContain('coffer_queue_messages{topic="host-local",state="ready"} 0\n')
    expect(text).toContain('coffer_requests_waiting 7\n')
  })

  it('counts agents, and those that were not heard for 150 s', async () => {
    const { clock, queue, counted, look } = setUp()
    const ids = ['0af1b2c3-0000-4000-8000-000000000001', '0af1b2c3-0000-4000-8000-000000000002']
    for (const id of ids) await queue.declare(`guest-${id}-1`)
    await clock.advance(140_000)
    expect(await look()).toContain('coffer_guests 2\n')
    expect(await look()).toContain('coffer_guests_silent 0\n')
    counted.heard(ids[0]!, clock.now())
    await clock.advance(20_000)
    expect(await look()).toContain('coffer_guests_silent 1\n')
    await queue.remove(`guest-${ids[1]}-1`)
    expect(await look()).toContain('coffer_guests 1\n')
    expect(await look()).toContain('coffer_guests_silent 0\n')
  })

  it('tells memory and CPU of the process', async () => {
    const text = await setUp().look()
    expect(text).toMatch(/^process_resident_memory_bytes [1-9]\d+$/m)
    expect(text).toMatch(/^process_cpu_seconds_total [\d.]+$/m)
  })
})

describe('/metrics is for this machine', () => {
  it.each(['127.0.0.1', '127.4.5.6', '::1', '::ffff:127.0.0.1'])('%s may', remote => {
    expect(isLocal({ remote, headers: {} })).toBe(true)
  })
  it.each(['10.0.0.1', '', '::ffff:10.0.0.1', 'fe80::1', '128.0.0.1'])('%s may not', remote => {
    expect(isLocal({ remote, headers: {} })).toBe(false)
  })
  it.each(['x-forwarded-for', 'forwarded', 'via', 'x-real-ip'])('nobody may through a proxy that sets %s', name => {
    expect(isLocal({ remote: '127.0.0.1', headers: { [name]: '10.0.0.1' } })).toBe(false)
  })
})
