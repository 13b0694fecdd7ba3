import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { HEARTBEAT_EXPIRY_MS, operatingStatusOf, statusOf } from '../../lib/model/instance-status.ts'
import { type Facts, facts, servers, services, tasks } from './status-facts.ts'

/** Every status that clients know (reference, 3.1). */
const STATUSES = `ACTIVE BUILD ERROR REBOOT RESIZE SHUTDOWN UPGRADE RESTART_REQUIRED PROMOTE EJECT DETACH BACKUP UNKNOWN`
const OPERATING_STATUSES = ` ACTIVE BLOCKED SHUTDOWN DELETED FAILED BUILD PROMOTE EJECT LOGGING ERROR NEW RESTART_REQUIRED HEALTHY RESTARTING`

describe('statusOf and operatingStatusOf', () => {
  it('return only statuses that clients know, whatever the facts', () => {
    const any = fc.tuple(fc.constantFrom(...tasks), fc.constantFrom(...servers), fc.constantFrom(...services), fc.nat())
    fc.assert(
      fc.property(any, ([task, server, service, elapsed]) => {
        const instance = facts(task, server, service)
        expect(STATUSES.split(' ')).toContain(statusOf(instance))
        expect(OPERATING_STATUSES.split(' ')).toContain(operatingStatusOf(instance, 1_000 + elapsed))
      }),
      { numRuns: 1_000 },
    )
  })

  it('return the statuses in the golden file', () => {
    const status = Object.fromEntries(
      tasks.map(task => [
        task,
        Object.fromEntries(servers.map(server => [server ?? 'no server', statusOf(facts(task, server))])),
      ]),
    )
    const operating = Object.fromEntries(
      services.map(service => [service ?? 'not heard', operatingStatusOf(facts('NONE', 'ACTIVE', service), 1_000)]),
    )
    const golden = readFileSync(join(import.meta.dirname, '..', 'golden', 'status.json'), 'utf8')
    expect({ status, operating }).toEqual(JSON.parse(golden))
  })
})

describe('operatingStatusOf', () => {
  it('is empty while a task runs or the server is not active', () => {
    for (const task of tasks) {
      for (const server of servers) {
        const status = operatingStatusOf(facts(task, server, 'healthy'), 1_000)
        expect(status).toBe(task === 'NONE' && server === 'ACTIVE' ? 'HEALTHY' : '')
      }
    }
  })

  it('is ERROR once an agent has been silent for too long', () => {
    const healthy = facts('NONE', 'ACTIVE', 'healthy')
    expect(operatingStatusOf(healthy, 1_000 + HEARTBEAT_EXPIRY_MS)).toBe('HEALTHY')
    expect(operatingStatusOf(healthy, 1_001 + HEARTBEAT_EXPIRY_MS)).toBe('ERROR')
    const longLease: Facts = { ...healthy, agentReport: { status: 'healthy', at: 1_000, sequence: 1, lease: 180_000 } }
    expect(operatingStatusOf(longLease, 1_000 + 3 * HEARTBEAT_EXPIRY_MS)).toBe('HEALTHY')
    expect(operatingStatusOf(longLease, 1_001 + 3 * HEARTBEAT_EXPIRY_MS)).toBe('ERROR')
    expect(statusOf(healthy)).toBe('ACTIVE')
  })

  it('is ERROR if the report was recorded before the clock was set back by that long', () => {
    const dayAhead = 86_400_000
    const healthy: Facts = {
      ...facts('NONE', 'ACTIVE', 'healthy'),
      agentReport: { status: 'healthy', at: dayAhead, sequence: 1 },
    }
    expect(operatingStatusOf(healthy, dayAhead - 1_000)).toBe('HEALTHY')
    expect(operatingStatusOf(healthy, 1_000)).toBe('ERROR')
  })
})
