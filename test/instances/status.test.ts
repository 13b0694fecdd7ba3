import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { HEARTBEAT_EXPIRY_MS, operatingStatusOf, statusOf } from '../../lib/instances/instance.ts'
import { type Facts, facts, servers, services, tasks } from './facts.ts'

/** Every word that clients know, of the reference (3.1). */
const WORDS = `ACTIVE BUILD ERROR REBOOT RESIZE SHUTDOWN UPGRADE RESTART_REQUIRED PROMOTE EJECT DETACH BACKUP UNKNOWN`
const OPERATING = ` ACTIVE BLOCKED SHUTDOWN DELETED FAILED BUILD PROMOTE EJECT LOGGING ERROR NEW RESTART_REQUIRED HEALTHY RESTARTING`

describe('the status words', () => {
  it('are of the closed lists, whatever the facts', () => {
    const any = fc.tuple(fc.constantFrom(...tasks), fc.constantFrom(...servers), fc.constantFrom(...services), fc.nat())
    fc.assert(
      fc.property(any, ([task, server, service, later]) => {
        const known = facts(task, server, service)
        expect(WORDS.split(' ')).toContain(statusOf(known))
        expect(OPERATING.split(' ')).toContain(operatingStatusOf(known, 1_000 + later))
      }),
      { numRuns: 1_000 },
    )
  })

  it('are the pinned ones', () => {
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

  it('say nothing of the database while a task runs or the server is not active', () => {
    for (const task of tasks) {
      for (const server of servers) {
        const shown = operatingStatusOf(facts(task, server, 'healthy'), 1_000)
        expect(shown).toBe(task === 'NONE' && server === 'ACTIVE' ? 'HEALTHY' : '')
      }
    }
  })

  it('call an agent that has been silent for too long an error', () => {
    const healthy = facts('NONE', 'ACTIVE', 'healthy')
    expect(operatingStatusOf(healthy, 1_000 + HEARTBEAT_EXPIRY_MS)).toBe('HEALTHY')
    expect(operatingStatusOf(healthy, 1_001 + HEARTBEAT_EXPIRY_MS)).toBe('ERROR')
    const seldom: Facts = { ...healthy, service: { status: 'healthy', at: 1_000, sent: 1, lease: 180_000 } }
    expect(operatingStatusOf(seldom, 1_000 + 3 * HEARTBEAT_EXPIRY_MS)).toBe('HEALTHY')
    expect(operatingStatusOf(seldom, 1_001 + 3 * HEARTBEAT_EXPIRY_MS)).toBe('ERROR')
    expect(statusOf(healthy)).toBe('ACTIVE')
  })
})
