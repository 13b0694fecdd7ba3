import { beforeEach, describe, expect, it } from '@jest/globals'
import { type Health, Machine } from '../../guest-agent/machine.ts'
import type { Driver } from '../../lib/datastores/driver.ts'
import { silentLog } from '../kit/random.ts'
import { type VirtualClock, virtualClock } from '../kit/virtual-clock.ts'
import { memoryDriver } from '../sim/memory-driver.ts'
import { mark } from './mark.ts'

const ENDED = { status: 'crashed', message: 'The database server ended unexpectedly; it is being started again.' }
const HEALTHY = { status: 'healthy' }
const notStarting = (why: string) => ({ status: 'crashed', message: `The database server does not start: ${why}` })
const givenUp = (why: string) => ({ status: 'failed', message: `The database server was given up: ${why}` })

let clock: VirtualClock
let told: Health[]
/** How often the server was started; what the next starts throw; ends the server that runs. */
let starts: number
let refusals: string[]
let die: () => void
let machine: Machine

beforeEach(() => {
  clock = virtualClock()
  told = []
  starts = 0
  refusals = []
  die = () => {}
  const driver: Driver = {
    ...memoryDriver(),
    async start() {
      starts += 1
      const refusal = refusals.shift()
      if (refusal !== undefined) throw new Error(refusal)
    },
    ended: signal =>
      new Promise(resolve => {
        die = resolve
        signal.addEventListener('abort', () => resolve())
      }),
  }
  machine = new Machine(driver, clock, silentLog, health => told.push(health), mark())
})

/** The server ends, and what that brings about is awaited. */
async function end(): Promise<void> {
  die()
  await clock.advance(1)
}

describe('the keeper of a database server', () => {
  it('starts one that ended, and tells both', async () => {
    machine.serving()
    await end()
    expect(starts).toBe(1)
    expect(told).toEqual([HEALTHY, ENDED, HEALTHY])
  })

  it('tries again, each time later, one that does not start, and tells why', async () => {
    refusals = ['no port', 'no port', 'no memory']
    machine.serving()
    await end()
    expect(starts).toBe(1)
    await clock.advance(999)
    expect(starts).toBe(2)
    await clock.advance(2_000)
    expect(starts).toBe(3)
    await clock.advance(4_000)
    expect(starts).toBe(4)
    expect(told).toEqual([HEALTHY, ENDED, notStarting('no port'), notStarting('no memory'), HEALTHY])
  })

  it('gives up one that does not start in five tries: failed, with the reason, and left alone', async () => {
    refusals = Array.from({ length: 9 }, () => 'the data directory is broken')
    machine.serving()
    await end()
    await clock.advance(600_000)
    expect(starts).toBe(5)
    expect(machine.health).toEqual(givenUp('the data directory is broken'))
  })

  it('gives up one that keeps ending: five times within two minutes', async () => {
    machine.serving()
    for (let death = 1; death <= 4; death++) await end()
    expect(machine.health).toEqual(HEALTHY)
    await end()
    await clock.advance(600_000)
    expect(machine.health).toEqual(givenUp('it keeps ending'))
    expect(starts).toBe(4)
  })

  it('goes on with one that ends now and then', async () => {
    machine.serving()
    for (let death = 1; death <= 12; death++) {
      await end()
      await clock.advance(40_000)
    }
    expect(machine.health).toEqual(HEALTHY)
    expect(starts).toBe(12)
  })

  it('watches one again that was given up and then serves', async () => {
    refusals = Array.from({ length: 5 }, () => 'broken')
    machine.serving()
    await end()
    await clock.advance(600_000)
    machine.serving()
    await end()
    expect(starts).toBe(6)
    expect(told.slice(-3)).toEqual([HEALTHY, ENDED, HEALTHY])
  })

  it('resumes with a start, and gives that up too', async () => {
    refusals = Array.from({ length: 5 }, () => 'broken')
    const resumed = machine.resume()
    await clock.advance(600_000)
    await resumed
    expect(told[0]).toEqual({ status: 'restarting' })
    expect(machine.health).toEqual(givenUp('broken'))
  })

  it('does not start one again that it stopped', async () => {
    machine.serving()
    await machine.stop()
    await clock.advance(600_000)
    expect([starts, machine.health]).toEqual([0, { status: 'shutdown' }])
  })
})
