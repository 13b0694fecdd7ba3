import { describe, expect, it } from '@jest/globals'
import { sqliteStore } from '../../lib/platform/store/sqlite.ts'
import { watchedBoots } from '../../lib/wiring/boots.ts'
import { log } from '../datastores/postgresql/cluster.ts'
import { virtualClock } from '../kit/virtual-clock.ts'

function world() {
  const clock = virtualClock()
  const store = sqliteStore(':memory:', { clock })
  return { clock, start: (boot: string) => watchedBoots({ store, clock, log, boot }) }
}

describe('boots', () => {
  it('are live while they are there, also those that came after the last look', async () => {
    const { clock, start } = world()
    const one = await start('one')
    const other = await start('other')
    expect([one.isLive('one'), one.isLive('other'), other.isLive('one')]).toEqual([true, true, true])
    await clock.advance(120_000)
    expect([one.isLive('other'), other.isLive('one')]).toEqual([true, true])
    await one.close()
    await other.close()
  })

  it('are dead once a look did not find them', async () => {
    const { clock, start } = world()
    const one = await start('one')
    expect(one.isLive('gone long ago')).toBe(true)
    await clock.advance(5_100)
    expect(one.isLive('gone long ago')).toBe(false)
    await one.close()
  })

  it('are told of when they end, once', async () => {
    const { clock, start } = world()
    const one = await start('one')
    const other = await start('other')
    let told = 0
    one.onEnd(async () => void told++)
    await clock.advance(10_000)
    expect([one.isLive('other'), told]).toEqual([true, 0])
    await other.close()
    await clock.advance(20_000)
    expect([one.isLive('other'), told]).toEqual([false, 1])
    await clock.advance(60_000)
    expect(told).toBe(1)
    await one.close()
  })
})
