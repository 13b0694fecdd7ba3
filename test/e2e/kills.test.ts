import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type pg from 'pg'
import {
  active,
  type Coffer,
  createInstance,
  deleteInstance,
  gone,
  processesOf,
  type Session,
  startCoffer,
  until,
  wipe,
} from './coffer.ts'
import { at, connected, hostPid, type Instance, killed, SOON_MS, signal, USERS, VICTIMS, type Victim } from './kills.ts'
import { clean } from './leftovers.ts'

let coffer: Coffer
let demo: Session

beforeAll(async () => {
  coffer = await startCoffer()
  demo = await coffer.login()
}, 60_000)
afterAll(async () => {
  expect(await coffer.stop()).toBe(0)
  expect(processesOf(coffer.dataDir)).toEqual([])
  await wipe(coffer.dataDir)
}, 60_000)

/** Kills, and goes on with the cloud that runs then. */
async function kill(victim: Victim, release: () => void): Promise<void> {
  coffer = await killed(coffer, victim, release)
  demo = await coffer.login()
}

async function askCreate(): Promise<Instance> {
  const body = { instance: { name: 'shop', flavorRef: 1, volume: { size: 1 }, ...USERS } }
  const asked = await demo.call('POST', '/instances', body)
  expect(asked.status).toBe(200)
  return asked.body.instance
}

async function askDelete({ id }: Instance): Promise<void> {
  expect((await demo.call('DELETE', `/instances/${id}`)).status).toBe(202)
}

/** What was so before the kill is so after it, and what was under way has ended well. */
async function expectRight(running: Instance, open: pg.Client, creating: Instance, deleting: Instance, alive: boolean) {
  if (alive) expect((await open.query('SELECT id FROM items')).rows).toEqual([{ id: 7 }])
  const after = await until('connection', () => connected(running).catch(() => undefined), SOON_MS)
  expect((await after.query('SELECT id FROM items')).rows).toEqual([{ id: 7 }])
  expect((await active(demo, running.id, SOON_MS)).addresses).toEqual(running.addresses)
  await gone(demo, deleting.id, SOON_MS)
  const made = await active(demo, creating.id, SOON_MS)
  const first = await until('connection', () => connected(made).catch(() => undefined), SOON_MS)
  // A command reaches the agent, whichever it is now.
  const asked = () => demo.call('POST', `/instances/${running.id}/databases`, { databases: [{ name: 'more' }] })
  await until('command', async () => (await asked()).status === 202, SOON_MS)
  await Promise.all([after, first, open].map(client => client.end().catch(() => {})))
}

describe.each(VICTIMS)('kill -9 of %s', victim => {
  const livesOn = victim !== 'database' && victim !== 'everything'

  /** A running instance with data and a session, and another to delete. */
  async function begun() {
    const [running, deleting] = await Promise.all([createInstance(demo, USERS), createInstance(demo, USERS)])
    const open = await connected(running)
    await open.query('CREATE TABLE items AS SELECT 7 AS id')
    return { running, deleting, open }
  }

  async function ended(...instances: Instance[]): Promise<void> {
    await Promise.all(instances.map(({ id }) => deleteInstance(demo, id)))
    await clean(coffer)
  }

  it('while a create and a delete wait for the host: both end well, and what runs stays as it is', async () => {
    const { running, deleting, open } = await begun()
    const host = hostPid(coffer)
    // It does nothing until it is let go on: the moment lasts as long as it takes to see it.
    signal(host, 'SIGSTOP')
    const creating = await askCreate()
    await askDelete(deleting)
    expect([await at(demo, creating, 'volume'), await at(demo, deleting, 'server')]).toEqual(['volume', 'server'])
    await kill(victim, () => signal(host, 'SIGCONT'))
    await expectRight(running, open, creating, deleting, livesOn)
    await ended(running, creating)
  }, 120_000)

  it('while an agent prepares a create, and a delete is under way', async () => {
    const { running, deleting, open } = await begun()
    const creating = await askCreate()
    await at(demo, creating, 'server')
    await askDelete(deleting)
    await at(demo, creating, 'running')
    await kill(victim, () => {})
    await expectRight(running, open, creating, deleting, livesOn)
    await ended(running, creating)
  }, 120_000)
})
