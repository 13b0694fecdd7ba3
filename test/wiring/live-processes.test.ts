import { describe, expect, it } from '@jest/globals'
import { sqliteStore } from '../../lib/platform/store/sqlite/store.ts'
import { watchLiveProcesses } from '../../lib/wiring/live-processes.ts'
import { log } from '../datastores/postgresql/cluster.ts'
import { virtualClock } from '../kit/virtual-clock.ts'

function world() {
  const clock = virtualClock()
  const store = sqliteStore(':memory:', { clock })
  return { clock, start: (processId: string) => watchLiveProcesses({ store, clock, log, processId }) }
}

describe('live processes', () => {
  it('are alive while they run, also those that started after the last poll', async () => {
    const { clock, start } = world()
    const first = await start('first')
    const other = await start('other')
    expect([first.isProcessAlive('first'), first.isProcessAlive('other'), other.isProcessAlive('first')]).toEqual([
      true,
      true,
      true,
    ])
    await clock.advance(120_000)
    expect([first.isProcessAlive('other'), other.isProcessAlive('first')]).toEqual([true, true])
    await first.close()
    await other.close()
  })

  it('are dead once a poll did not find them', async () => {
    const { clock, start } = world()
    const first = await start('first')
    expect(first.isProcessAlive('gone long ago')).toBe(true)
    await clock.advance(5_100)
    expect(first.isProcessAlive('gone long ago')).toBe(false)
    await first.close()
  })

  it('are announced once when they end', async () => {
    const { clock, start } = world()
    const first = await start('first')
    const other = await start('other')
    let announced = 0
    first.onEnd(async () => void announced++)
    await clock.advance(10_000)
    expect([first.isProcessAlive('other'), announced]).toEqual([true, 0])
    await other.close()
    await clock.advance(20_000)
    expect([first.isProcessAlive('other'), announced]).toEqual([false, 1])
    await clock.advance(60_000)
    expect(announced).toBe(1)
    await first.close()
  })
})
