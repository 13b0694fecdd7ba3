import { describe, expect, it } from '@jest/globals'
import { Machine } from '../../guest-agent/machine.ts'
import type { Driver } from '../../lib/datastores/driver.ts'
import { silentLog } from '../kit/random.ts'
import { virtualClock } from '../kit/virtual-clock.ts'
import { memoryDriver } from '../sim/memory-driver.ts'
import { mark } from './mark.ts'

/** A server process that is started, stopped and dies; `failing` starts of it fail. */
function server() {
  let running = true
  let ended: () => void = () => {}
  const did: string[] = []
  /** How many starts fail; whether a stop comes to no end, for its agent dies. */
  const state = { failing: 0, stuck: false }
  const driver: Driver = {
    ...memoryDriver(),
    async start() {
      did.push('start')
      if (state.failing-- > 0) throw new Error('it does not start')
      running = true
    },
    async stop() {
      did.push('stop')
      if (state.stuck) return new Promise(() => {})
      running = false
      ended()
    },
    ended: signal =>
      new Promise(resolve => {
        if (!running) return resolve()
        ended = resolve
        signal.addEventListener('abort', () => resolve())
      }),
  }
  const die = () => {
    running = false
    ended()
  }
  return { driver, did, die, state }
}

function machine() {
  const clock = virtualClock()
  const told: string[] = []
  const { driver, did, die, state } = server()
  const disk = mark()
  const agent = () => new Machine(driver, clock, silentLog, ({ status }) => told.push(status), disk)
  const made = agent()
  const refreshed: number[] = []
  const service = made.service(async () => void refreshed.push(did.length))
  made.serving()
  return { clock, told, did, die, state, made, service, refreshed, agent }
}

describe('what is done to the server on purpose', () => {
  it('is no crash: the watch looks away, and watches again after it', async () => {
    const { clock, told, did, die, service } = machine()
    await service.restart()
    await clock.advance(1_000)
    expect(did).toEqual(['stop', 'start'])
    expect(told).toEqual(['healthy', 'restarting', 'healthy'])
    die()
    await clock.advance(5_000)
    expect(told.slice(3)).toEqual(['crashed', 'healthy'])
  })

  it('a stopped server stays stopped until it is restarted', async () => {
    const { clock, told, did, service } = machine()
    await service.stop_db()
    await clock.advance(60_000)
    expect(did).toEqual(['stop'])
    expect(told.at(-1)).toBe('shutdown')
    await service.restart()
    expect(told.at(-1)).toBe('healthy')
  })

  it('a stopped server stays stopped when its agent dies, and is running again when that dies after a restart', async () => {
    const { clock, told, did, service, agent } = machine()
    await service.stop_db()
    const second = agent()
    await second.resume()
    await clock.advance(60_000)
    expect([did, told.at(-1)]).toEqual([['stop'], 'shutdown'])
    await second.service(async () => {}).restart()
    await agent().resume()
    expect([did, told.at(-1)]).toEqual([['stop', 'stop', 'start', 'start'], 'healthy'])
  })

  it('a server that is to be stopped while it is being resumed stays stopped', async () => {
    const { clock, told, did, agent } = machine()
    const second = agent()
    const resumed = second.resume()
    await second.service(async () => {}).stop_db()
    await resumed
    await clock.advance(60_000)
    expect([did, told.at(-1)]).toEqual([['start', 'stop'], 'shutdown'])
  })

  it('a server whose agent died before it was stopped goes on until that is asked for again', async () => {
    const { told, did, service, agent, state } = machine()
    state.stuck = true
    void service.stop_db()
    const second = agent()
    await second.resume()
    expect([did.at(-1), told.at(-1)]).toEqual(['start', 'healthy'])
    state.stuck = false
    await second.service(async () => {}).stop_db()
    expect(told.at(-1)).toBe('shutdown')
  })

  it('takes on what the machine has become between stop and start', async () => {
    const { did, service, refreshed } = machine()
    await service.start_db_with_conf_changes()
    expect(refreshed).toEqual([1])
    await service.upgrade()
    expect(refreshed).toEqual([1, 3])
    await service.restart()
    expect(did).toHaveLength(6)
    expect(refreshed).toHaveLength(2)
  })

  it('tells its asker that it failed, and goes on trying', async () => {
    const { clock, told, service, state } = machine()
    state.failing = 2
    await expect(service.restart()).rejects.toThrow('it does not start')
    expect(told.at(-1)).toBe('crashed')
    await clock.advance(60_000)
    expect(told.at(-1)).toBe('healthy')
  })

  it('gives way to the next wish while it goes on trying', async () => {
    const { clock, told, did, service, state } = machine()
    state.failing = 2
    await expect(service.start_db_with_conf_changes()).rejects.toThrow()
    await service.start_db_with_conf_changes()
    const before = did.length
    await clock.advance(60_000)
    expect(did).toHaveLength(before)
    expect(told.at(-1)).toBe('healthy')
  })

  it('is refused once the agent ends', async () => {
    const { made, did, service } = machine()
    await made.stop()
    await expect(service.restart()).rejects.toThrow('ending')
    expect(did).toEqual(['stop'])
  })
})
