import { describe, expect, it } from '@jest/globals'
import { derivedKeys } from '../../../lib/kit/crypto/keys.ts'
import { type SagaRecord, sagaRecord, sagas } from '../../../lib/kit/saga/saga.ts'
import { type Host, hosts, hostUse } from '../../../lib/model/host.ts'
import { instanceSubject } from '../../../lib/model/instance.ts'
import { embeddedQueue } from '../../../lib/platform/queue/embedded/queue.ts'
import { sqliteStore } from '../../../lib/platform/store/sqlite/store.ts'
import { metricsText } from '../../../local/gateway/metrics.ts'
import { registry } from '../../../local/metrics.ts'
import { seededRandom } from '../../kit/random.ts'
import { secretsOf } from '../../kit/secrets.ts'
import { virtualClock } from '../../kit/virtual-clock.ts'

function setUp() {
  const clock = virtualClock()
  const queue = embeddedQueue({ clock, random: seededRandom(1) })
  const store = sqliteStore(':memory:', { clock })
  const metrics = registry()
  const started = clock.now()
  const fairQueue = { depth: () => ({ waiting: 7, running: 2 }) }
  const masters = [{ id: 'k1', bytes: new Uint8Array(32) }]
  const keys = derivedKeys(secretsOf(masters))
  const scrape = () => metricsText({ platform: { queue, store, clock, keys }, registry: metrics, fairQueue, started })
  return { clock, queue, store, metrics, scrape, masters }
}

const operation = (id: string, name = 'create_instance') => ({
  id,
  name,
  project: 'demo',
  subject: instanceSubject(`of-${id}`),
  requestId: 'req-1',
  request: {},
})

const HOST: Host = {
  ...{ id: 'b', state: 'active', ramMb: 4_096, engines: {}, network: '127.1', version: '', lastReport: 0 },
}

describe('a scrape of /metrics', () => {
  it('tells how many records need an older master key, once they were counted', async () => {
    const { store, scrape, masters } = setUp()
    masters.push({ id: 'k2', bytes: new Uint8Array(32).fill(2) })
    expect(await scrape()).not.toContain('coffer_key_records_remaining')
    const body = { kid: 'k2', since: 1, pass: { started: 1, kind: 0, left: 0 }, remaining: 3 }
    await store.transact([{ op: 'put', key: { project: '*', id: 'key-rotation#current' }, body }])
    expect(await scrape()).toContain('\ncoffer_key_records_remaining{key="k2"} 3\n')
    masters.shift()
    expect(await scrape()).not.toContain('coffer_key_records_remaining')
  })

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
    const { queue, store, scrape } = setUp()
    for (const topic of ['taskmanager', 'conductor', 'host-b']) await queue.declare(topic)
    await store.transact([hosts.create('*', 'b', HOST)])
    await queue.send('taskmanager', [{ body: 'a' }, { body: 'b' }])
    await queue.receive('taskmanager', { max: 1, waitMs: 0 })
    const text = await scrape()
    expect(text).toContain('coffer_queue_messages{topic="taskmanager",state="ready"} 1\n')
    expect(text).toContain('coffer_queue_messages{topic="taskmanager",state="in_flight"} 1\n')
    expect(text).toContain('coffer_queue_messages{topic="host-b",state="ready"} 0\n')
    expect(text).toContain('coffer_requests_waiting 7\n')
  })

  it('tells the space of the store, where it knows that', async () => {
    const { store, scrape } = setUp()
    expect(await scrape()).not.toContain('coffer_store')
    store.space = () => ({ freeBytes: 5, isShort: true })
    expect(await scrape()).toContain('coffer_store_free_bytes 5\n')
    expect(await scrape()).toContain('coffer_store_full 1\n')
  })

  it('counts hosts by state, and tells the memory of each', async () => {
    const { store, scrape } = setUp()
    await store.transact([
      hosts.create('*', 'a', { ...HOST, id: 'a' }),
      hosts.create('*', 'b', { ...HOST, state: 'draining' }),
      hosts.create('*', 'c', { ...HOST, id: 'c', silentSince: 1 }),
      hosts.create('*', 'd', { ...HOST, id: 'd', state: 'removed' }),
      hostUse.create('*', 'b', { ramMb: 512 }),
    ])
    const text = await scrape()
    for (const state of ['active', 'draining', 'silent']) expect(text).toContain(`coffer_hosts{state="${state}"} 1\n`)
    expect(text).toContain('coffer_host_memory_mb{host="b",kind="capacity"} 4096\n')
    expect(text).toContain('coffer_host_memory_mb{host="b",kind="allocated"} 512\n')
    expect(text).toContain('coffer_host_memory_mb{host="a",kind="allocated"} 0\n')
    expect(text).not.toContain('host="d"')
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
