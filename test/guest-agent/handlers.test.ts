import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from '@jest/globals'
import { type AgentDriver, dispatch, executeCommand } from '../../guest-agent/handlers.ts'
import { openJournal } from '../../guest-agent/journal.ts'
import { guest } from '../../lib/contracts/guest/guest.ts'
import { silentLog } from '../kit/random.ts'
import { virtualClock } from '../kit/virtual-clock.ts'
import { memoryServer } from '../sim/memory-server.ts'

/** A server that can only be run. */
function bareServer(): AgentDriver {
  const { prepare, start, stop, exited, used_bytes, diagnostics, ...rest } = memoryServer()
  const { restart, stop_db, start_db_with_conf_changes, upgrade, rebuild } = rest
  const control = { restart, stop_db, start_db_with_conf_changes, upgrade, rebuild }
  return { prepare, start, stop, exited, used_bytes, diagnostics, ...control }
}

describe('a method of the contract', () => {
  it("is the driver's verb of that name, with its input and its result", async () => {
    const driver = memoryServer()
    expect(await dispatch('create_database', { databases: [{ name: 'cart' }] }, driver)).toBeNull()
    expect(await dispatch('list_databases', { limit: 9 }, driver)).toEqual({ items: [{ name: 'cart' }] })
    expect(await dispatch('get_user', { name: 'ann' }, driver)).toBeNull()
    expect(await dispatch('get_diagnostics', {}, driver)).toMatchObject({ version: '0' })
    expect(driver.executed).toEqual(['create_database cart'])
  })

  it.each(['tls_key', 'start', 'exited', 'constructor'])('is never %s, which is not in the contract', async name => {
    expect(Object.hasOwn(guest.methods, name)).toBe(false)
    await expect(dispatch(name, {}, memoryServer())).rejects.toThrow(`guest has no method ${name}`)
  })

  it.each([
    ['list_databases', { limit: 1 }],
    ['get_user', { name: 'ann' }],
    ['disable_root', {}],
    ['ssl_show', {}],
    ['update_access', { allowed_cidrs: [] }],
  ])('is refused with 501 if the driver has no %s', async (method, input) => {
    const message = `The '${method}' operation is not supported for this datastore.`
    await expect(dispatch(method, input, bareServer())).rejects.toMatchObject({ code: 501, message })
  })
})

describe('a command', () => {
  const dir = mkdtempSync(join(tmpdir(), 'coffer-handlers-'))
  afterAll(() => rmSync(dir, { recursive: true, force: true }))

  it.each([
    ['delete_database', { name: 'cart' }],
    ['delete_user', { name: 'ann' }],
    ['revoke_access', { name: 'ann', database: 'cart' }],
  ])('fails with 501 if the driver has no %s, and is not recorded as begun', async (method, input) => {
    const journal = await openJournal(join(dir, method))
    const parts = { driver: bareServer(), journal, log: silentLog, clock: virtualClock() }
    const end = await executeCommand(
      { ...parts, health: () => ({ status: 'healthy' }), onSuccess: () => {}, onFailure: () => {} },
      { number: 1, method, input, requestId: 'req-1' },
    )
    expect(end).toMatchObject({ number: 1, failed: { code: 501 } })
    expect(journal.isUnfinished(1)).toBe(false)
  })
})
