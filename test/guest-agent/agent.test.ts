import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Agent } from '../../guest-agent/agent.ts'
import { journal } from '../../guest-agent/journal.ts'
import { Report } from '../../lib/contracts/conductor.ts'
import type { GuestMessage } from '../../lib/contracts/guest.ts'
import { derivedKeys } from '../../lib/kit/keys.ts'
import { derivedEnd, readEnvelope, sealer } from '../../lib/kit/seal.ts'
import { type EmbeddedQueue, embeddedQueue } from '../../lib/platform/queue/embedded.ts'
import { seededRandom, silentLog } from '../kit/random.ts'
import { virtualClock } from '../kit/virtual-clock.ts'
import { memoryDriver } from '../sim/memory-driver.ts'

const random = seededRandom(1)
const master = { id: 'k1', bytes: random.bytes(32) }
const seals = sealer(derivedEnd(derivedKeys({ current: async () => master, byId: async () => master })))
const clock = virtualClock()

let dir: string
let queue: EmbeddedQueue
let driver: ReturnType<typeof memoryDriver>
let agent: Agent
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffer-agent-'))
  queue = embeddedQueue({ clock, random })
  for (const topic of ['guest-i1-1', 'conductor']) await queue.declare(topic)
  driver = memoryDriver()
  agent = await newAgent()
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** As it starts on a machine, with what its disk knows. */
const newAgent = async () =>
  new Agent({
    subject: 'guest:i1',
    generation: 1,
    topic: 'guest-i1-1',
    conductor: 'conductor',
    queue,
    sealer: seals,
    journal: await journal(join(dir, 'journal')),
    driver,
    clock,
    random,
    log: silentLog,
    version: '1',
    asked: () => {},
    succeeded: () => {},
    failed: () => {},
    health: () => ({ status: 'healthy' }),
  })

let sent = 0
/** What the agent receives, from that generation of the control plane's. */
async function message(content: GuestMessage, generation = 1) {
  const outer = { subject: 'guest:i1', generation, direction: 'down', kind: content.kind, id: `m${++sent}` } as const
  const body = await seals.seal({ ...outer, expires: clock.now() + 60_000 }, content)
  return { id: outer.id, body, receipt: outer.id, attempt: 1 }
}

const create = (number: number, name = `db${number}`, skip = false): GuestMessage => ({
  kind: 'command',
  number,
  method: 'create_database',
  input: skip ? null : { databases: [{ name }] },
  requestId: 'req-1',
  ...(skip && { skip }),
})

/** What the agent has told since, in order: method, number, code. */
async function told(): Promise<unknown[][]> {
  const messages = await queue.receive('conductor', { max: 10, waitMs: 0 })
  return Promise.all(
    messages.map(async ({ body }) => {
      const { method, input } = Report.parse(await seals.open(readEnvelope(body)))
      const { number, code } = Object(input)
      return [method, number, ...(code === undefined ? [] : [code])]
    }),
  )
}

describe('commands to an agent', () => {
  it('that come early wait for their turn', async () => {
    await agent.take(await message(create(3)))
    await agent.take(await message(create(2)))
    expect(driver.executed).toEqual([])
    await agent.take(await message(create(1)))
    expect(driver.executed).toEqual([1, 2, 3].map(number => `create_database db${number}`))
    expect(await told()).toEqual([1, 2, 3].map(number => ['notify_end', number]))
  })

  it('that come again are answered as before and not done again, after a restart too', async () => {
    await agent.take(await message(create(1)))
    const refused = { ...create(2), method: 'delete_user', input: { name: 'nobody' } }
    await agent.take(await message(refused))
    agent = await newAgent()
    await agent.take(await message(create(1)))
    await agent.take(await message(refused))
    expect(driver.executed).toEqual(['create_database db1'])
    const once = [
      ['notify_end', 1],
      ['notify_exc_info', 2, 404],
    ]
    expect(await told()).toEqual([...once, ...once])
  })

  it('that are cancelled are counted and not done', async () => {
    await agent.take(await message(create(1, '', true)))
    await agent.take(await message(create(2)))
    expect(driver.executed).toEqual(['create_database db2'])
    expect(await told()).toEqual([
      ['notify_exc_info', 1, 409],
      ['notify_end', 2],
    ])
  })

  it('of another generation, or unreadable, are dropped', async () => {
    await agent.take(await message(create(1), 2))
    await agent.take({ ...(await message(create(1))), body: 'x' })
    const { body, ...rest } = await message(create(1))
    await agent.take({ ...rest, body: body.replace(/.$/, last => (last === '}' ? ' ' : '}')) })
    expect([driver.executed, await told()]).toEqual([[], []])
  })

  it('do not hold up a question', async () => {
    let finish = () => {}
    driver.create_database = () =>
      new Promise(resolve => {
        finish = resolve
      })
    const working = agent.take(await message(create(1)))
    await agent.take(await message({ kind: 'query', method: 'rpc_ping', input: {}, requestId: 'req-2' }))
    const [answer] = await queue.receive('conductor', { max: 10, waitMs: 0 })
    expect(await seals.open(readEnvelope(answer?.body ?? ''))).toEqual({ result: true })
    finish()
    await working
    expect(await told()).toContainEqual(['notify_end', 1])
  })
})
