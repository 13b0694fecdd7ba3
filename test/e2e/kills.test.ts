import { beforeAll, describe, expect, it } from '@jest/globals'
import type pg from 'pg'
import { waitUntilClean } from './assert-clean.ts'
import { CART, ownCloud } from './cloud.ts'
import { createInstance, deleteInstance, requestInstance, until, waitUntilActive, waitUntilGone } from './coffer.ts'
import {
  connect,
  type Instance,
  killAndRestart,
  RECOVERY_MS,
  VICTIMS,
  waitForStep,
  withHostPaused,
} from './fault-injection.ts'

const { coffer, demo, resume } = ownCloud()
/** It has data, and lives through every kill. */
let running: Instance
/** The instance that the next test deletes; each test creates the one for the next. */
let next: Instance

beforeAll(async () => {
  ;[running, next] = await Promise.all([createInstance(demo, CART), createInstance(demo, CART)])
  const client = await connect(running)
  await client.query('CREATE TABLE items AS SELECT 7 AS id')
  await client.end()
})

async function requestDelete({ id }: Instance): Promise<void> {
  expect((await demo.call('DELETE', `/instances/${id}`)).status).toBe(202)
}

const reconnect = (instance: Instance) =>
  until('connection', () => connect(instance).catch(() => undefined), RECOVERY_MS)

/** The running instance is as before, with its session if its database lives. The create and the delete end well. */
async function expectRecovery(session: pg.Client, survives: boolean, creating: Instance): Promise<void> {
  if (survives) expect((await session.query('SELECT id FROM items')).rows).toEqual([{ id: 7 }])
  const after = await reconnect(running)
  expect((await after.query('SELECT id FROM items')).rows).toEqual([{ id: 7 }])
  expect((await waitUntilActive(demo, running.id, RECOVERY_MS)).addresses).toEqual(running.addresses)
  await waitUntilGone(demo, next.id, RECOVERY_MS)
  const created = await waitUntilActive(demo, creating.id, RECOVERY_MS)
  const first = await reconnect(created)
  // A command reaches the agent, be it the same process or a new one.
  const users = { users: [{ name: 'ann', password: 'pw1' }] }
  const command = () => demo.call('PUT', `/instances/${running.id}/users`, users)
  await until('command', async () => (await command()).status === 202, RECOVERY_MS)
  await Promise.all([after, first, session].map(client => client.end().catch(() => {})))
  next = created
  await waitUntilClean(coffer, [running.id, next.id])
}

describe.each(VICTIMS)('kill -9 of %s', victim => {
  const survives = victim !== 'database' && victim !== 'everything'
  const kill = async (release: () => void) => resume(await killAndRestart(coffer, victim, release))

  it('while a create and a delete wait for the host', async () => {
    const session = await connect(running)
    const creating = await withHostPaused(coffer, async release => {
      const created = await requestInstance(demo, CART)
      await requestDelete(next)
      const steps = [await waitForStep(demo, created, 'create_volume'), await waitForStep(demo, next, 'delete_server')]
      expect(steps).toEqual(['create_volume', 'delete_server'])
      await kill(release)
      return created
    })
    await expectRecovery(session, survives, creating)
  }, 120_000)

  it('while an agent prepares a new instance, and another instance is deleted', async () => {
    const session = await connect(running)
    const creating = await requestInstance(demo, CART)
    await waitForStep(demo, creating, 'create_server')
    await requestDelete(next)
    await waitForStep(demo, creating, 'wait_until_serving')
    await kill(() => {})
    await expectRecovery(session, survives, creating)
  }, 120_000)
})

it('leaves nothing behind', async () => {
  await Promise.all([running, next].map(({ id }) => deleteInstance(demo, id)))
  await waitUntilClean(coffer)
})
