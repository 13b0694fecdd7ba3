import { describe, expect, it } from '@jest/globals'
import { type SagaRecord, sagaRecord, sagas } from '../../../lib/kit/saga/saga.ts'
import { instanceSubject } from '../../../lib/model/instance.ts'
import { embeddedQueue } from '../../../lib/platform/queue/embedded/queue.ts'
import { sqliteStore } from '../../../lib/platform/store/sqlite/store.ts'
import { metricsText } from '../../../local/gateway/metrics.ts'
import { registry } from '../../../local/metrics.ts'
import { seededRandom } from '../../kit/random.ts'
import { virtualClock } from '../../kit/virtual-clock.ts'

function setUp() {
  const clock = virtualClock()
  const queue = embeddedQueue({ clock, random: seededRandom(1) })
  const store = sqliteStore(':memory:', { clock })
  const metrics = registry()
  const started = clock.now()
  const fairQueue = { depth: () => ({ waiting: 7, running: 2 }) }
  const scrape = () => metricsText({ platform: { queue, store, clock }, registry: metrics, fairQueue, started })
  return { clock, queue, store, metrics, scrape }
}

const operation = (id: string, name = 'create_instance') => ({
  id,
  name,
  project: 'demo',
  subject: instanceSubject(`of-${id}`),
  requestId: 'req-1',
  request: {},
})

describe('a scrape of /metrics', () => {
  it('counts running operations by name and status, and tells the age of the oldest', async () => {
    const { clock, store, scrape } = setUp()
    const now = clock.now()
    await store.transact([sagaRecord(operation('1'), now - 5_000), sagaRecord(operation('2'), now)])
    await store.transact([sagaRecord(operation('3', 'delete_instance'), now)])
    const item = (await sagas.get(store, 'demo', '2'))!
    const parked: SagaRecord = { ...item.body, status: 'UNDOING', parked: true }
    await store.transact([sagas.replace(item, parked)])
    await clock.advance(1_000)
    const text = await scrape()
    expect(text).toContain('coffer_operations{name="create_instance",status="RUNNING"} 1\n')
    expect(text).toContain('coffer_operations{name="create_instance",status="PARKED"} 1\n')
    expect(text).toContain('coffer_operations{name="delete_instance",status="RUNNING"} 1\n')
    expect(text).toContain('coffer_operation_oldest_seconds{name="create_instance",status="RUNNING"} 6\n')
    expect(text).toContain('coffer_operations_uncounted 0\n')
  })

  it('neither reads nor counts an operation that has ended', async () => {
    const { clock, store, scrape } = setUp()
    await store.transact([sagaRecord(operation('1'), clock.now())])
    const item = (await sagas.get(store, 'demo', '1'))!
    await store.transact([sagas.replace(item, { ...item.body, status: 'DONE' }, { due: undefined })])
    expect(await store.due(Number.MAX_SAFE_INTEGER, 10)).toEqual([])
    expect(await scrape()).not.toContain('coffer_operations{')
  })

  it('tells the depth of the components’ topics and of the gateway’s queue', async () => {
    const { queue, scrape } = setUp()
    for (const topic of ['taskmanager', 'conductor', 'host-local']) await queue.declare(topic)
    await queue.send('taskmanager', [{ body: 'a' }, { body: 'b' }])
    await queue.receive('taskmanager', { max: 1, waitMs: 0 })
    const text = await scrape()
    expect(text).toContain('coffer_queue_messages{topic="taskmanager",state="ready"} 1\n')
    expect(text).toContain('coffer_queue_messages{topic="taskmanager",state="in_flight"} 1\n')
    expect(text).toContain('coffer_queue_messages{topic="host-local",state="ready"} 0\n')
    expect(text).toContain('coffer_requests_waiting 7\n')
  })

  it('counts agents, and those without a heartbeat for 150 s', async () => {
    const { clock, queue, metrics, scrape } = setUp()
    const ids = ['0af1b2c3-0000-4000-8000-000000000001', '0af1b2c3-0000-4000-8000-000000000002']
    for (const id of ids) await queue.declare(`guest-${id}-1`)
    await clock.advance(140_000)
    expect(await scrape()).toContain('coffer_guests 2\n')
    expect(await scrape()).toContain('coffer_guests_silent 0\n')
    metrics.recordHeartbeat(ids[0]!, clock.now())
    await clock.advance(20_000)
    expect(await scrape()).toContain('coffer_guests_silent 1\n')
    await queue.remove(`guest-${ids[1]}-1`)
    expect(await scrape()).toContain('coffer_guests 1\n')
    expect(await scrape()).toContain('coffer_guests_silent 0\n')
  })

  it('tells memory and CPU time of the process', async () => {
    const text = await setUp().scrape()
    expect(text).toMatch(/^process_resident_memory_bytes [1-9]\d+$/m)
    expect(text).toMatch(/^process_cpu_seconds_total [\d.]+$/m)
  })
})
