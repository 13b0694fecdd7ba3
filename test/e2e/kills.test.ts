import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import pg from 'pg'
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
import { clean } from './leftovers.ts'

const USERS = {
  databases: [{ name: 'cart' }],
  users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
}
/** Seconds, not the minutes of a lease. */
const SOON_MS = 20_000

type Victim = 'control' | 'agent' | 'host' | 'database' | 'everything'
const VICTIMS: Victim[] = ['control', 'agent', 'host', 'database', 'everything']

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

async function connected({ addresses }: { addresses: { address: string; port?: number }[] }): Promise<pg.Client> {
  const [{ address, port = 5432 } = { address: '' }] = addresses
  const client = new pg.Client({ host: address, port, user: 'ann', password: 'pw1', database: 'cart' })
  client.on('error', () => {})
  await client.connect()
  return client
}

const hostPid = (): number => JSON.parse(readFileSync(join(coffer.dataDir, 'host.pid'), 'utf8')).pid

/** Postmasters of instances: neither their children, who have other titles, nor an initdb's. */
function pidsOf(victim: Victim): number[] {
  const running = processesOf(coffer.dataDir)
  const agents = running.filter(({ args }) => args.includes('guest-agent.mjs')).map(({ pid }) => pid)
  const databases = running
    .filter(({ args }) => args.includes(`/bin/postgres -D ${join(coffer.dataDir, 'volumes')}`))
    .map(({ pid }) => pid)
  if (victim === 'control') return [coffer.pid]
  if (victim === 'host') return [hostPid()]
  if (victim === 'agent') return agents
  if (victim === 'database') return databases
  return [coffer.pid, hostPid(), ...running.map(({ pid }) => pid)]
}

/** SIGKILL; what does not come back by itself is started again. */
async function killed(victim: Victim): Promise<void> {
  for (const pid of new Set(pidsOf(victim))) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
  if (victim !== 'control' && victim !== 'everything') return
  await coffer.kill()
  coffer = await startCoffer(coffer.dataDir)
  demo = await coffer.login()
}

describe.each(VICTIMS)('kill -9 of %s', victim => {
  it('keeps a running instance with its data, and its connections where the database lives on', async () => {
    const made = await createInstance(demo, USERS)
    const before = await connected(made)
    await before.query('CREATE TABLE items (id int)')
    await before.query('INSERT INTO items VALUES (7)')
    const started = Date.now()
    await killed(victim)
    if (victim !== 'database' && victim !== 'everything') {
      expect((await before.query('SELECT id FROM items')).rows).toEqual([{ id: 7 }])
    }
    const after = await until('connection', () => connected(made).catch(() => undefined), SOON_MS)
    expect((await after.query('SELECT id FROM items')).rows).toEqual([{ id: 7 }])
    expect((await active(demo, made.id)).addresses).toEqual(made.addresses)
    // A command reaches the agent, whichever it is now.
    const asked = await until(
      'command',
      async () =>
        (await demo.call('POST', `/instances/${made.id}/databases`, { databases: [{ name: 'more' }] })).status === 202,
      SOON_MS,
    )
    expect(asked).toBe(true)
    await Promise.all([before.end().catch(() => {}), after.end()])
    await deleteInstance(demo, made.id)
    expect(Date.now() - started).toBeLessThan(SOON_MS)
    await clean(coffer)
  }, 60_000)

  it.each([0, 150, 400])(
    'lets a create end well, %i ms after it was asked for',
    async ms => {
      const asked = await demo.call('POST', '/instances', {
        instance: { name: 'shop', flavorRef: 1, volume: { size: 1 }, ...USERS },
      })
      expect(asked.status).toBe(200)
      const started = Date.now()
      await sleep(ms)
      await killed(victim)
      const made = await active(demo, asked.body.instance.id)
      await (await until('connection', () => connected(made).catch(() => undefined), SOON_MS)).end()
      expect(Date.now() - started).toBeLessThan(SOON_MS)
      await deleteInstance(demo, made.id)
      await clean(coffer)
    },
    60_000,
  )

  it.each([0, 40])(
    'lets a delete end, %i ms after it was asked for',
    async ms => {
      const made = await createInstance(demo, USERS)
      expect((await demo.call('DELETE', `/instances/${made.id}`)).status).toBe(202)
      const started = Date.now()
      await sleep(ms)
      await killed(victim)
      await gone(demo, made.id)
      expect(Date.now() - started).toBeLessThan(SOON_MS)
      await clean(coffer)
    },
    60_000,
  )
})
