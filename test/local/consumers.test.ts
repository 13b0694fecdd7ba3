import { describe, expect, it } from '@jest/globals'
import { HOSTS_PROJECT, type Host, hosts } from '../../lib/model/host.ts'
import { embeddedQueue } from '../../lib/platform/queue/embedded/queue.ts'
import { setPlatform } from '../../lib/wiring/current.ts'
import { systemLog } from '../../lib/wiring/system.ts'
import { CONCURRENCY, consume, consumeTopic } from '../../local/consumers.ts'
import { registry } from '../../local/metrics.ts'
import { seededRandom } from '../kit/random.ts'
import { virtualClock } from '../kit/virtual-clock.ts'
import { World } from '../sim/world.ts'

function setUp() {
  const clock = virtualClock()
  const queue = embeddedQueue({ clock, random: seededRandom(1) })
  const metrics = registry()
  const platform = { queue, clock, metrics, log: systemLog('test', 'silent') }
  return { clock, queue, metrics, platform, stop: new AbortController() }
}

/** What is done with it when it is due: it is due no longer. */
const REMOVED_HOST: Host = {
  ...{ id: 'b', state: 'removed', ramMb: 1, engines: {}, network: '127.9', version: '1', lastReport: 0 },
}

const casts = (group: string, count: number) => Array.from({ length: count }, () => ({ body: group, group }))
const turn = () => new Promise<void>(resolve => setImmediate(resolve))

describe('the consumers', () => {
  it('handle a tenant’s message after at most 511 of the 10,000 that another has queued', async () => {
    const { queue, platform, stop } = setUp()
    await queue.declare('t')
    await queue.send('t', casts('flood', 10_000))
    const order: string[] = []
    let running = 0
    let max = 0
    const consuming = consumeTopic(
      platform,
      't',
      async event => {
        for (const { body } of event.Records) order.push(body)
        max = Math.max(max, ++running)
        if (order.length === 500) await queue.send('t', casts('one', 1))
        await turn()
        running--
        if (order.length >= 10_001) stop.abort()
        return { batchItemFailures: [] }
      },
      stop.signal,
    )
    await consuming
    expect(order).toHaveLength(10_001)
    // It was sent when 500 had started: only those received with them, and one turn, may come before it.
    expect(order.indexOf('one')).toBeLessThanOrEqual(500 + 10 + 1)
    expect(max).toBeLessThanOrEqual(CONCURRENCY)
  })

  it('count messages that failed and messages that were given up', async () => {
    const { clock, queue, metrics, platform, stop } = setUp()
    await queue.declare('t')
    await queue.send('t', casts('poison', 1))
    let deliveries = 0
    const consuming = consumeTopic(
      platform,
      't',
      async event => {
        deliveries++
        return { batchItemFailures: event.Records.map(({ messageId }) => ({ itemIdentifier: messageId })) }
      },
      stop.signal,
    )
    for (let second = 0; second < 60; second++) await clock.advance(1_000)
    stop.abort()
    await clock.advance(1_000)
    await consuming
    expect(deliveries).toBe(5)
    expect(metrics.text()).toContain('coffer_messages_failed_total{topic="t"} 5\n')
    expect(metrics.text()).toContain('coffer_messages_dropped_total{topic="t",why="given up"} 1\n')
  })
})

describe('the schedule', () => {
  /** A running schedule after its first sweep. */
  async function startSchedule(overrides: { sweepExpired?(now: number): number } = {}) {
    const world = await new World().open()
    const platform = { ...world.platform, store: { ...world.store, ...overrides } }
    setPlatform(platform)
    const stop = new AbortController()
    const consuming = consume(platform, stop.signal, ['periodic'])
    await world.clock.advance(1_000)
    const end = async () => {
      stop.abort()
      await consuming
      await world.store.close()
    }
    return { clock: world.clock, store: world.store, end }
  }

  it('deletes all records that expired since the last sweep', async () => {
    const { clock, store, end } = await startSchedule()
    const expires = clock.now() + 1_000
    for (let count = 0; count < 50; count++) {
      const ids = Array.from({ length: 100 }, (_, index) => `a#${count * 100 + index}`)
      await store.transact(ids.map(id => ({ op: 'put', key: { project: 'p', id }, body: {}, expires })))
    }
    await clock.advance(60_000)
    expect(store.sweepExpired(clock.now(), 5_000)).toBe(0)
    await end()
  })

  it('acts on what was due before the clock was set back', async () => {
    const { clock, store, end } = await startSchedule()
    const due = clock.now() + 5_000
    await store.transact([{ op: 'put', key: hosts.key(HOSTS_PROJECT, 'b'), body: REMOVED_HOST, due }])
    clock.setBack(86_400_000)
    await clock.advance(5_000)
    expect((await hosts.get(store, HOSTS_PROJECT, 'b'))?.due).toBeUndefined()
    await end()
  })

  it('pauses between sweeps however much has expired, and ends at once', async () => {
    const times: number[] = []
    const { clock, end } = await startSchedule({ sweepExpired: now => times.push(now) && 1_000 })
    await clock.advance(10_000)
    expect(times.length).toBeGreaterThan(10)
    expect(new Set(times).size).toBe(times.length)
    await end()
  })

  it('sweeps again after a sweep failed', async () => {
    let calls = 0
    const { clock, end } = await startSchedule({
      sweepExpired() {
        if (++calls === 1) throw new Error('the store is away')
        return 0
      },
    })
    await clock.advance(60_000)
    expect(calls).toBe(2)
    await end()
  })
})
