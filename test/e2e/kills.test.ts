import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import {
  type Answer,
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
/** A dead runner's lease would take 75 s. */
const SOON_MS = 45_000

type Victim = 'control' | 'agent' | 'host' | 'database' | 'everything'
const VICTIMS: Victim[] = ['control', 'agent', 'host', 'database', 'everything']

type Instance = Answer['body']

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

async function connected({ addresses: [{ address, port = 5432 }] }: Instance): Promise<pg.Client> {
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

function signal(pid: number, name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended by itself.
  }
}

/** Kills; `release` lets go on what was held up; what does not come back by itself is started again. */
async function killed(victim: Victim, release: () => void): Promise<void> {
  const pids = new Set(pidsOf(victim))
  expect(pids.size).toBeGreaterThan(0)
  for (const pid of pids) signal(pid, 'SIGKILL')
  release()
  if (victim !== 'control' && victim !== 'everything') return
  await coffer.kill()
  coffer = await startCoffer(coffer.dataDir)
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

/** Resolves once the instance's latest operation has come to that step (or past it); to the step where it is. */
function at({ id }: Instance, step: string): Promise<string> {
  return until(`step ${step}`, async () => {
    const { status, body } = await demo.call('GET', `/instances/${id}/operations`)
    if (status === 404) return 'gone'
    const [{ step: now, steps }] = body.operations
    return (now === null || steps.indexOf(now) >= steps.indexOf(step)) && String(now)
  })
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
    const host = hostPid()
    // It does nothing until it is let go on: the moment lasts as long as it takes to see it.
    signal(host, 'SIGSTOP')
    const creating = await askCreate()
    await askDelete(deleting)
    expect([await at(creating, 'volume'), await at(deleting, 'server')]).toEqual(['volume', 'server'])
    await killed(victim, () => signal(host, 'SIGCONT'))
    await expectRight(running, open, creating, deleting, livesOn)
    await ended(running, creating)
  }, 120_000)

  it('while an agent prepares a create, and a delete is under way', async () => {
    const { running, deleting, open } = await begun()
    const creating = await askCreate()
    await at(creating, 'server')
    await askDelete(deleting)
    await at(creating, 'running')
    await killed(victim, () => {})
    await expectRight(running, open, creating, deleting, livesOn)
    await ended(running, creating)
  }, 120_000)
})
