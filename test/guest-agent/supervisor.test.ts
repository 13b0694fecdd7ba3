import { beforeEach, describe, expect, it } from '@jest/globals'
import { DatabaseSupervisor, type Health } from '../../guest-agent/supervisor.ts'
import type { Server } from '../../lib/datastores/driver.ts'
import { silentLog } from '../kit/random.ts'
import { type VirtualClock, virtualClock } from '../kit/virtual-clock.ts'
import { memoryServer } from '../sim/memory-server.ts'
import { memoryStopMark } from './memory-stop-mark.ts'

const ENDED = { status: 'crashed', message: 'The database server ended unexpectedly; it is being started again.' }
const HEALTHY = { status: 'healthy' }
const notStarting = (why: string) => ({ status: 'crashed', message: `The database server does not start: ${why}` })
const givenUp = (why: string) => ({ status: 'failed', message: `The database server was given up: ${why}` })

let clock: VirtualClock
let reported: Health[]
/** How often the server was started; what the next starts throw; ends the server that runs. */
let starts: number
let refusals: string[]
let die: () => void
let supervisor: DatabaseSupervisor

beforeEach(() => {
  clock = virtualClock()
  reported = []
  starts = 0
  refusals = []
  die = () => {}
  const driver: Server = {
    ...memoryServer(),
    async start() {
      starts += 1
      const refusal = refusals.shift()
      if (refusal !== undefined) throw new Error(refusal)
    },
    exited: signal =>
      new Promise(resolve => {
        die = resolve
        signal.addEventListener('abort', () => resolve())
      }),
  }
  supervisor = new DatabaseSupervisor({ driver, clock, log: silentLog, stopMark: memoryStopMark() })
  supervisor.listen(health => reported.push(health))
})

/** Ends the server, and waits for what follows. */
async function endServer(): Promise<void> {
  die()
  await clock.advance(1)
}

describe('the supervisor of a database server', () => {
  it('starts a server that ended, and reports both', async () => {
    supervisor.markHealthy()
    await endServer()
    expect(starts).toBe(1)
    expect(reported).toEqual([HEALTHY, ENDED, HEALTHY])
  })

  it('retries a server that does not start at growing intervals, and reports why', async () => {
    refusals = ['no port', 'no port', 'no memory']
    supervisor.markHealthy()
    await endServer()
    expect(starts).toBe(1)
    await clock.advance(999)
    expect(starts).toBe(2)
    await clock.advance(2_000)
    expect(starts).toBe(3)
    await clock.advance(4_000)
    expect(starts).toBe(4)
    expect(reported).toEqual([HEALTHY, ENDED, notStarting('no port'), notStarting('no memory'), HEALTHY])
  })

  it('gives up a server that does not start in five tries, and reports the reason', async () => {
    refusals = Array.from({ length: 9 }, () => 'the data directory is broken')
    supervisor.markHealthy()
    await endServer()
    await clock.advance(600_000)
    expect(starts).toBe(5)
    expect(supervisor.health).toEqual(givenUp('the data directory is broken'))
  })

  it('gives up a server that ends five times within two minutes', async () => {
    supervisor.markHealthy()
    for (let death = 1; death <= 4; death++) await endServer()
    expect(supervisor.health).toEqual(HEALTHY)
    await endServer()
    await clock.advance(600_000)
    expect(supervisor.health).toEqual(givenUp('it keeps ending'))
    expect(starts).toBe(4)
  })

  it('keeps starting a server that ends now and then', async () => {
    supervisor.markHealthy()
    for (let death = 1; death <= 12; death++) {
      await endServer()
      await clock.advance(40_000)
    }
    expect(supervisor.health).toEqual(HEALTHY)
    expect(starts).toBe(12)
  })

  it('watches a server again that was given up and then serves', async () => {
    refusals = Array.from({ length: 5 }, () => 'broken')
    supervisor.markHealthy()
    await endServer()
    await clock.advance(600_000)
    supervisor.markHealthy()
    await endServer()
    expect(starts).toBe(6)
    expect(reported.slice(-3)).toEqual([HEALTHY, ENDED, HEALTHY])
  })

  it('resumes with a start, and gives up a server that does not start', async () => {
    refusals = Array.from({ length: 5 }, () => 'broken')
    const resumed = supervisor.resume()
    await clock.advance(600_000)
    await resumed
    expect(reported[0]).toEqual({ status: 'restarting' })
    expect(supervisor.health).toEqual(givenUp('broken'))
  })

  it('does not start a server that it stopped', async () => {
    supervisor.markHealthy()
    await supervisor.stop()
    await clock.advance(600_000)
    expect([starts, supervisor.health]).toEqual([0, { status: 'shutdown' }])
  })
})

/** A server process that is started, stopped and dies; `failing` starts of it fail. */
function fakeServer() {
  let running = true
  let ended: () => void = () => {}
  const calls: string[] = []
  /** How many starts fail; whether a stop never returns, because its agent dies. */
  const state = { failing: 0, stuck: false }
  const driver: Server = {
    ...memoryServer(),
    async start() {
      calls.push('start')
      if (state.failing-- > 0) throw new Error('it does not start')
      running = true
    },
    async stop() {
      calls.push('stop')
      if (state.stuck) return new Promise(() => {})
      running = false
      ended()
    },
    exited: signal =>
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
  return { driver, calls, die, state }
}

function supervisedServer() {
  const clock = virtualClock()
  const statuses: string[] = []
  const { driver, calls, die, state } = fakeServer()
  const stopMark = memoryStopMark()
  const startAgent = () => {
    const supervisor = new DatabaseSupervisor({ driver, clock, log: silentLog, stopMark })
    supervisor.listen(({ status }) => statuses.push(status))
    return supervisor
  }
  const supervisor = startAgent()
  const refreshes: number[] = []
  const control = supervisor.control(async () => void refreshes.push(calls.length))
  supervisor.markHealthy()
  return { clock, statuses, calls, die, state, supervisor, control, refreshes, startAgent }
}

describe('control of the server', () => {
  it('is not taken for a crash: the watch pauses during a restart', async () => {
    const { clock, statuses, calls, die, control } = supervisedServer()
    await control.restart({})
    await clock.advance(1_000)
    expect(calls).toEqual(['stop', 'start'])
    expect(statuses).toEqual(['healthy', 'restarting', 'healthy'])
    die()
    await clock.advance(5_000)
    expect(statuses.slice(3)).toEqual(['crashed', 'healthy'])
  })

  it('keeps a stopped server stopped until a restart', async () => {
    const { clock, statuses, calls, control } = supervisedServer()
    await control.stop_db({})
    await clock.advance(60_000)
    expect(calls).toEqual(['stop'])
    expect(statuses.at(-1)).toBe('shutdown')
    await control.restart({})
    expect(statuses.at(-1)).toBe('healthy')
  })

  it('is remembered when the agent dies: a stopped server stays stopped, a restarted one runs', async () => {
    const { clock, statuses, calls, control, startAgent } = supervisedServer()
    await control.stop_db({})
    const second = startAgent()
    await second.resume()
    await clock.advance(60_000)
    expect([calls, statuses.at(-1)]).toEqual([['stop'], 'shutdown'])
    await second.control(async () => {}).restart({})
    await startAgent().resume()
    expect([calls, statuses.at(-1)]).toEqual([['stop', 'stop', 'start', 'start'], 'healthy'])
  })

  it('stops a server that is being resumed', async () => {
    const { clock, statuses, calls, startAgent } = supervisedServer()
    const second = startAgent()
    const resumed = second.resume()
    await second.control(async () => {}).stop_db({})
    await resumed
    await clock.advance(60_000)
    expect([calls, statuses.at(-1)]).toEqual([['start', 'stop'], 'shutdown'])
  })

  it('leaves a server running whose agent died during the stop, until the stop is repeated', async () => {
    const { statuses, calls, control, startAgent, state } = supervisedServer()
    state.stuck = true
    void control.stop_db({})
    const second = startAgent()
    await second.resume()
    expect([calls.at(-1), statuses.at(-1)]).toEqual(['start', 'healthy'])
    state.stuck = false
    await second.control(async () => {}).stop_db({})
    expect(statuses.at(-1)).toBe('shutdown')
  })

  it("refreshes the machine's flavor and engine between stop and start", async () => {
    const { calls, control, refreshes } = supervisedServer()
    await control.start_db_with_conf_changes({})
    expect(refreshes).toEqual([1])
    await control.upgrade({ datastore_version: '' })
    expect(refreshes).toEqual([1, 3])
    await control.restart({})
    expect(calls).toHaveLength(6)
    expect(refreshes).toHaveLength(2)
  })

  it('rejects a failed restart, and goes on trying in the background', async () => {
    const { clock, statuses, control, state } = supervisedServer()
    state.failing = 2
    await expect(control.restart({})).rejects.toThrow('it does not start')
    expect(statuses.at(-1)).toBe('crashed')
    await clock.advance(60_000)
    expect(statuses.at(-1)).toBe('healthy')
  })

  it('ends its tries in the background when the next command comes', async () => {
    const { clock, statuses, calls, control, state } = supervisedServer()
    state.failing = 2
    await expect(control.start_db_with_conf_changes({})).rejects.toThrow()
    await control.start_db_with_conf_changes({})
    const before = calls.length
    await clock.advance(60_000)
    expect(calls).toHaveLength(before)
    expect(statuses.at(-1)).toBe('healthy')
  })

  it('is refused once the agent is ending', async () => {
    const { supervisor, calls, control } = supervisedServer()
    await supervisor.stop()
    await expect(control.restart({})).rejects.toThrow('ending')
    expect(calls).toEqual(['stop'])
  })
})
