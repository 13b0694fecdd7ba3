import { describe, expect, it } from '@jest/globals'
import { embeddedQueue } from '../../lib/platform/queue/embedded.ts'
import { systemLog } from '../../lib/wiring/system.ts'
import { CONCURRENCY, pull } from '../../local/consumers.ts'
import { registry } from '../../local/metrics.ts'
import { seededRandom } from '../kit/random.ts'
import { virtualClock } from '../kit/virtual-clock.ts'

function setUp() {
  const clock = virtualClock()
  const queue = embeddedQueue({ clock, random: seededRandom(1) })
  const metrics = registry()
  const platform = { queue, clock, metrics, log: systemLog('test', 'silent') }
  return { clock, queue, metrics, platform, stop: new AbortController() }
}

const casts = (group: string, count: number) => Array.from({ length: count }, () => ({ body: group, group }))
const turn = () => new Promise<void>(resolve => setImmediate(resolve))

describe('the consumers', () => {
  it('start a tenant’s create after a handful of the 10,000 that another has queued', async () => {
    const { queue, platform, stop } = setUp()
    await queue.declare('t')
    await queue.send('t', casts('flood', 10_000))
    const order: string[] = []
    let running = 0
    let most = 0
    const pulling = pull(
      platform,
      't',
      async event => {
        for (const { body } of event.Records) order.push(body)
        most = Math.max(most, ++running)
        if (order.length === 500) await queue.send('t', casts('one', 1))
        await turn()
        running--
        if (order.length >= 10_001) stop.abort()
        return { batchItemFailures: [] }
      },
      stop.signal,
    )
    await pulling
    expect(order).toHaveLength(10_001)
    // It came when 500 had begun: at most what was received with them, and one turn, came before it.
    expect(order.indexOf('one')).toBeLessThanOrEqual(500 + 10 + 1)
    expect(most).toBeLessThanOrEqual(CONCURRENCY)
  })

  it('count what fails, and what is given up', async () => {
    const { clock, queue, metrics, platform, stop } = setUp()
    await queue.declare('t')
    await queue.send('t', casts('poison', 1))
    let seen = 0
    const pulling = pull(
      platform,
      't',
      async event => {
        seen++
        return { batchItemFailures: event.Records.map(({ messageId }) => ({ itemIdentifier: messageId })) }
      },
      stop.signal,
    )
    for (let second = 0; second < 60; second++) await clock.advance(1_000)
    stop.abort()
    await clock.advance(1_000)
    await pulling
    expect(seen).toBe(5)
    expect(metrics.text()).toContain('coffer_messages_failed_total{topic="t"} 5\n')
    expect(metrics.text()).toContain('coffer_messages_dropped_total{topic="t",why="given up"} 1\n')
  })
})
