import { beforeEach, describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { agentCommands, agentRecords, guestClient } from '../../lib/agents/agent.ts'
import { registerHost } from '../../lib/conductor/hosts.ts'
import type { UserSpec } from '../../lib/contracts/guest/users.ts'
import { secret } from '../../lib/kit/crypto/secret.ts'
import { sagas } from '../../lib/kit/saga/saga.ts'
import { BadTransaction } from '../../lib/ports/store.ts'
import { keyProgress, rotateKeys } from '../../lib/taskmanager/key-rotation.ts'
import { masterKey } from '../kit/secrets.ts'
import { sendRequest } from '../sim/api.ts'
import { hostReport } from '../sim/hosts.ts'
import { SIM_DATASTORES, World } from '../sim/world.ts'
import { PROJECT, scenarios, theInstance } from './scenarios.ts'

const HOUR_MS = 3_600_000
const k2 = masterKey('k2', 8)

let world: World
beforeEach(async () => {
  world = await new World(1, { agentsEnrol: true }).open()
})

const idOf = async () => (await theInstance(world))?.id ?? ''
const agentKid = async () => (await agentRecords.get(world.store, PROJECT, await idOf()))?.body.kid
const ann = { name: 'bea', password: 'canary-2', databases: [] } as unknown as UserSpec

/** Lets time pass with a run of `periodic` each second until so many records are left. */
async function rotateUntil(remaining: number, ms = 600_000, before = async () => {}): Promise<void> {
  const isDone = async () => {
    await before()
    await world.request(platform => rotateKeys(platform))
    return (await keyProgress(world.platform))?.remaining === remaining
  }
  await world.until(`${remaining} records left`, isDone, ms)
}

async function namesOfUsers(): Promise<string[]> {
  const { platform } = world
  const context = { project: PROJECT, instance: await idOf(), requestId: 'req-1' }
  let names: string[] = []
  let settled = false
  const query = guestClient(platform, context)
    .list_users({ limit: 20, include_marker: false })
    .then(({ items }) => {
      names = items.map(({ name }) => name)
    })
    .finally(() => {
      settled = true
    })
  query.catch(() => undefined)
  await world.until('answer', async () => settled, 20_000)
  await query
  return names
}

const create = async () => {
  await world.request(platform => scenarios.create_instance.begin(platform))
}
const untilCreated = () => world.until('instance', () => scenarios.create_instance.done(world))

/** Every place where a ciphertext may be stored. */
const storedText = async () => {
  const kinds = ['saga', 'command', 'idempotency', 'ca']
  const pages = await Promise.all(kinds.map(kind => world.store.all(kind, { limit: 100 })))
  return JSON.stringify(pages)
}
const header = (kid: string) => Buffer.from(JSON.stringify({ alg: 'dir', enc: 'A256GCM', kid })).toString('base64url')

describe('a change of the master key', () => {
  it.each([0, 2, 4, 6, 8, 10, 12, 14])(
    'lets a create finish that has had %i effects since its request',
    async effects => {
      await create()
      const start = world.effects
      await world.until(
        'effect',
        async () => world.effects >= start + effects || (await scenarios.create_instance.done(world)),
      )
      world.masterKeys.push(k2)
      await untilCreated()
      expect(await namesOfUsers()).toEqual(['ann'])
      await rotateUntil(0)
      world.masterKeys.shift()
      expect(await namesOfUsers()).toEqual(['ann'])
    },
  )

  it('keeps agents in reach at once, and gives them the new keys within a minute', async () => {
    await create()
    await untilCreated()
    world.masterKeys.push(k2)
    const changed = world.clock.now()
    expect(await namesOfUsers()).toEqual(['ann'])
    await world.until('new keys', async () => {
      await world.request(platform => rotateKeys(platform))
      return (await agentKid()) === 'k2'
    })
    expect(world.clock.now() - changed).toBeLessThan(60_000)
    expect(await namesOfUsers()).toEqual(['ann'])
  })

  it('re-encrypts what commands and operations that wait have stored, and they are done with the old key gone', async () => {
    await create()
    await untilCreated()
    const instance = await idOf()
    world.silentHosts.add([...world.machines.keys()][0] ?? '')
    await guestClient(world.platform, { project: PROJECT, instance, requestId: 'req-2' }).create_user({ users: [ann] })
    await world.request(platform => scenarios.restart.begin(platform))
    world.masterKeys.push(k2)
    expect(await storedText()).toContain(header('k1'))
    // The agent is not heard; its credentials end within the hour.
    await rotateUntil(0, 2 * HOUR_MS)
    expect(await storedText()).not.toContain(header('k1'))
    world.masterKeys.shift()
    world.silentHosts.clear()
    await world.until('user', async () => {
      const rows = await agentCommands.list(world.store, PROJECT, { limit: 10 })
      return rows.every(({ body }) => body.status !== 'issued')
    })
    expect((await namesOfUsers()).sort()).toEqual(['ann', 'bea'])
  })

  it('reaches an agent that was down meanwhile, when it is back', async () => {
    await create()
    await untilCreated()
    const host = [...world.machines.keys()][0] ?? ''
    world.silentHosts.add(host)
    world.masterKeys.push(k2)
    await world.clock.advance(10 * 60_000)
    world.silentHosts.delete(host)
    await world.machine.restartAgents()
    expect(await namesOfUsers()).toEqual(['ann'])
    await rotateUntil(0)
    expect(await agentKid()).toBe('k2')
  })

  it('does not cut off an agent for long although the old key was removed at once', async () => {
    await create()
    await untilCreated()
    world.masterKeys.splice(0, 1, k2)
    expect(await namesOfUsers()).toEqual(['ann'])
    expect(await agentKid()).toBe('k2')
  })

  it('keeps the first answer of a request with an Idempotency-Key', async () => {
    const request = {
      method: 'POST',
      path: '/instances',
      headers: { 'idempotency-key': 'order-1', 'content-type': 'application/json' },
      body: { instance: { name: 'shop', flavorRef: 1, volume: { size: 1 } } },
    }
    const first = await sendRequest(world, request)
    expect(first?.status).toBe(200)
    world.masterKeys.push(k2)
    await rotateUntil(0)
    world.masterKeys.shift()
    const again = await sendRequest(world, request)
    expect(again).toMatchObject({ status: 200, text: first?.text, headers: { 'Idempotency-Replayed': 'true' } })
    const other = await sendRequest(world, {
      ...request,
      body: { instance: { ...request.body.instance, name: 'other' } },
    })
    expect(other?.status).toBe(422)
  })

  it('moves an operation in the hands of a runner, whose writes keep what was re-encrypted', async () => {
    await create()
    const [before] = await sagas.list(world.store, PROJECT, { limit: 1 })
    world.masterKeys.push(k2)
    await world.request(platform => rotateKeys(platform))
    const [after] = await sagas.list(world.store, PROJECT, { limit: 1 })
    expect(JSON.stringify(before)).toContain(header('k1'))
    expect(JSON.stringify(after)).not.toContain(header('k1'))
    await untilCreated()
  })

  it('moves any number of records, in bounded portions', async () => {
    const { store, vault } = world.platform
    const request = await vault.lock(z.object({ password: secret(z.string()) }), { password: 'pw' }, 'p9/saga#1')
    const body = { id: '1', project: 'p9', status: 'DONE', request }
    for (let n = 0; n < 2_500; n += 100) {
      const rows = Array.from({ length: 100 }, (_, index) => ({ project: 'p9', id: `saga#many-${n + index}` }))
      await store.transact(rows.map(key => ({ op: 'put', key, body })))
    }
    world.masterKeys.push(k2)
    const moved = async () => {
      const all = await world.store.list('p9', 'saga', { limit: 3_000 })
      return all.filter(({ body: row }) => !JSON.stringify(row).includes(header('k1'))).length
    }
    const counts: number[] = []
    for (let run = 0; run < 4; run++) {
      await world.request(platform => rotateKeys(platform))
      counts.push(await moved())
    }
    expect(counts[0]).toBeGreaterThan(0)
    expect(counts[0]).toBeLessThanOrEqual(1_000)
    expect(counts.at(-1)).toBe(2_500)
  })

  it('waits for a host until its daemon reports with the new keys', async () => {
    let reports = 0
    const report = (kid: string) => async () => {
      await registerHost(world.platform, 'b', hostReport(SIM_DATASTORES, 4_096), { sequence: ++reports, kid })
    }
    await report('k1')()
    world.masterKeys.push(k2)
    await rotateUntil(1, 600_000, report('k1'))
    await rotateUntil(0, 600_000, report('k2'))
  })

  it('that is taken back is counted anew', async () => {
    await create()
    await untilCreated()
    world.masterKeys.push(k2)
    await rotateUntil(0)
    expect(await agentKid()).toBe('k2')
    world.masterKeys.reverse()
    await world.request(platform => rotateKeys(platform))
    expect(await keyProgress(world.platform)).toBeUndefined()
    await rotateUntil(0)
    expect(await agentKid()).toBe('k1')
  })

  it('is held up by no record that cannot be written', async () => {
    const { vault } = world.platform
    const request = await vault.lock(z.object({ password: secret(z.string()) }), { password: 'pw' }, 'p9/saga#1')
    const body = { id: '1', project: 'p9', status: 'DONE', request }
    for (const id of ['a', 'b']) {
      await world.store.transact([{ op: 'put', key: { project: 'p9', id: `saga#${id}` }, body }])
    }
    const { transact } = world.store
    world.store.transact = changes =>
      changes.some(({ key }) => key.id === 'saga#a')
        ? Promise.reject(new BadTransaction('too large'))
        : transact(changes)
    world.masterKeys.push(k2)
    await rotateUntil(1)
    const rows = await world.store.list('p9', 'saga', { limit: 10 })
    expect(rows.map(row => JSON.stringify(row).includes(header('k1')))).toEqual([true, false])
  })

  it('is not counted while a process may still use the old key, nor while there is one key', async () => {
    await world.request(platform => rotateKeys(platform))
    expect(await keyProgress(world.platform)).toBeUndefined()
    world.masterKeys.push(k2)
    const changed = world.clock.now()
    await world.request(platform => rotateKeys(platform))
    expect(await keyProgress(world.platform)).toBeUndefined()
    await rotateUntil(0)
    expect(world.clock.now() - changed).toBeGreaterThanOrEqual(31_000)
    expect(await keyProgress(world.platform)).toEqual({ key: 'k2', remaining: 0 })
  })
})
