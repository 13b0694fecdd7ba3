import { beforeEach, describe, expect, it } from '@jest/globals'
import { DatabaseSupervisor, type Health } from '../../guest-agent/supervisor.ts'
import { VolumeGuard } from '../../guest-agent/volume-guard.ts'
import { silentLog } from '../kit/random.ts'
import { type VirtualClock, virtualClock } from '../kit/virtual-clock.ts'
import { memoryServer } from '../sim/memory-server.ts'
import { memoryStopMark } from './memory-stop-mark.ts'

const MIB = 1 << 20
const GIB = 1 << 30
const HEALTHY = { status: 'healthy' }

let clock: VirtualClock
let size: number | undefined
let used: number
let free: number
/** What was done to the server, and how often its files were counted. */
let done: string[]
let counts: number
let isFull: boolean
let supervisor: DatabaseSupervisor
let guard: VolumeGuard
let ended: AbortController

beforeEach(() => {
  clock = virtualClock()
  size = GIB
  used = 100 * MIB
  free = 100 * GIB
  done = []
  counts = 0
  isFull = false
  ended = new AbortController()
  const driver = {
    ...memoryServer(),
    start: async () => void done.push('start'),
    stop: async () => void done.push('stop'),
    exited: (signal: AbortSignal) => new Promise<void>(resolve => signal.addEventListener('abort', () => resolve())),
    async used_bytes() {
      counts += 1
      return used
    },
    async set_read_only(isReadOnly: boolean) {
      if (isFull) throw new Error('ENOSPC')
      done.push(isReadOnly ? 'read-only' : 'writable')
    },
  }
  supervisor = new DatabaseSupervisor({ driver, clock, log: silentLog, stopMark: memoryStopMark() })
  supervisor.markHealthy()
  const parts = { driver, supervisor, clock, log: silentLog, sizeBytes: () => size, freeBytes: () => free }
  guard = new VolumeGuard(parts)
})

/** Has the guard watch the volume, with as many percent used. */
async function watch(percent: number): Promise<void> {
  used = (GIB * percent) / 100
  void guard.run(ended.signal)
  await clock.advance(1_000)
}
/** Changes the use, and waits until that must have been seen. */
async function use(percent: number, ms = 1_000): Promise<Health> {
  used = (GIB * percent) / 100
  await clock.advance(ms)
  return guard.health()
}
const restart = () => guard.control(supervisor.control(async () => {})).restart({})

describe('the size of a volume', () => {
  it('makes transactions read-only at 95 %, says so, and lifts that below 90 %', async () => {
    await watch(94)
    expect([done, guard.health()]).toEqual([[], HEALTHY])
    const limited = await use(95)
    expect(done).toEqual(['read-only'])
    expect(limited).toEqual({ status: 'healthy', message: expect.stringMatching(/^The volume is 95 % full: .*larger/) })
    expect(await use(91)).toEqual(limited)
    expect(await use(89)).toEqual(HEALTHY)
    expect(done).toEqual(['read-only', 'writable'])
  })

  it('stops the server at 110 %, with the reason, and leaves it stopped', async () => {
    await watch(94)
    const health = await use(112)
    expect(done).toEqual(['read-only', 'stop'])
    expect(health).toEqual({ status: 'shutdown', message: expect.stringMatching(/^The database was stopped: .*112 %/) })
    await clock.advance(3_600_000)
    expect(done).toEqual(['read-only', 'stop'])
  })

  it('starts the server again once the volume is larger, or less is used: what was under way had to end', async () => {
    await watch(94)
    await use(112)
    size = 2 * GIB
    await clock.advance(1_000)
    expect([done, guard.health()]).toEqual([['read-only', 'stop', 'writable', 'start'], HEALTHY])
    await use(230, 3_000)
    await use(50, 11_000)
    expect([done.slice(4), guard.health()]).toEqual([['read-only', 'stop', 'writable', 'start'], HEALTHY])
  })

  it('is no limit for 15 minutes after a restart, in which its owner deletes', async () => {
    await watch(94)
    await use(112)
    await restart()
    expect(done.slice(2)).toEqual(['stop', 'start'])
    await clock.advance(600_000)
    expect(guard.health()).toEqual({ status: 'healthy', message: expect.stringContaining('112 %') })
    await use(80)
    expect([done.slice(4), guard.health()]).toEqual([['writable'], HEALTHY])
  })

  it('is a limit again after these minutes, and at once if still more is written', async () => {
    await watch(94)
    await use(112)
    await restart()
    await clock.advance(14 * 60_000)
    expect(guard.health().status).toBe('healthy')
    await clock.advance(2 * 60_000)
    expect(guard.health().status).toBe('shutdown')
    await restart()
    expect((await use(117)).status).toBe('healthy')
    expect((await use(119)).status).toBe('shutdown')
  })

  it('cannot be passed further by one restart after the other', async () => {
    await watch(94)
    await use(112)
    for (let times = 0; times < 10; times++) {
      await restart()
      await clock.advance(16 * 60_000)
    }
    await expect(restart()).rejects.toMatchObject({ code: 422, message: expect.stringContaining('larger') })
    expect(guard.health().status).toBe('shutdown')
    size = 2 * GIB
    await clock.advance(1_000)
    expect(guard.health()).toEqual(HEALTHY)
    await use(230, 3_000)
    await restart()
    expect(guard.health().status).toBe('healthy')
  })

  it('starts nothing that was stopped on purpose, is being restarted, or was never prepared', async () => {
    await watch(94)
    await supervisor.control(async () => {}).stop_db({})
    await use(112)
    expect([done, guard.health()]).toEqual([['stop'], { status: 'shutdown' }])
    supervisor.setHealth({ status: 'building' })
    await clock.advance(60_000)
    expect(done).toEqual(['stop'])
  })

  it('is tried again if the server could not be told, as on a full disk', async () => {
    await watch(94)
    isFull = true
    expect(await use(96)).toEqual(HEALTHY)
    isFull = false
    expect((await use(96)).message).toContain('96 %')
  })

  it('stops a server that cannot be told, too', async () => {
    await watch(94)
    isFull = true
    expect((await use(112)).status).toBe('shutdown')
  })

  it('limits a server that an agent finds at its start, before it starts it', async () => {
    used = (GIB * 96) / 100
    await guard.resume()
    expect(done).toEqual(['read-only', 'start'])
    expect(guard.health().message).toContain('96 %')
  })

  it('keeps an agent that starts from starting a server that is stopped for it', async () => {
    used = (GIB * 112) / 100
    await guard.resume()
    expect(done).toEqual(['read-only', 'stop'])
    expect(guard.health().message).toMatch(/^The database was stopped/)
    await restart()
    expect(guard.health().status).toBe('healthy')
  })

  it('stops a database that cannot be read-only, and promises nothing else', async () => {
    const parts = { supervisor, clock, log: silentLog, sizeBytes: () => size, freeBytes: () => free }
    guard = new VolumeGuard({ ...parts, driver: { used_bytes: async () => used } })
    await watch(96)
    expect(guard.health()).toEqual(HEALTHY)
    expect((await use(112)).status).toBe('shutdown')
  })

  it('is no limit where the file system has one', async () => {
    size = undefined
    await watch(300)
    expect([done, guard.health()]).toEqual([[], HEALTHY])
  })
})

describe('how often the use is counted', () => {
  it('is every 10 s while little is used', async () => {
    await watch(10)
    counts = 0
    await clock.advance(60_000)
    expect(counts).toBe(6)
  })

  it('is as before after the clock was set back', async () => {
    await watch(10)
    clock.setBack(86_400_000)
    counts = 0
    await clock.advance(60_000)
    expect(counts).toBeGreaterThanOrEqual(6)
  })

  it('is at once when the disk gets fuller: a fast writer is seen within a second', async () => {
    await watch(10)
    free -= 900 * MIB
    const health = await use(99)
    expect(health.message).toContain('99 %')
  })

  it('is every half second near the limit', async () => {
    await watch(92)
    counts = 0
    await clock.advance(10_000)
    expect(counts).toBe(20)
  })

  it('is not done again for who asks within that time', async () => {
    await watch(10)
    counts = 0
    expect([await guard.usedBytes(), await guard.usedBytes(), counts]).toEqual([used, used, 0])
    size = undefined
    await guard.usedBytes()
    expect(counts).toBe(0)
    await clock.advance(11_000)
    used = 7
    expect(await guard.usedBytes()).toBe(7)
  })
})
