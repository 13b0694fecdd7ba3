import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Agent } from '../../guest-agent/agent.ts'
import { openJournal } from '../../guest-agent/journal.ts'
import type { Health } from '../../guest-agent/supervisor.ts'
import { Report } from '../../lib/contracts/conductor.ts'
import type { GuestMessage } from '../../lib/contracts/guest/guest.ts'
import { derivedKeys } from '../../lib/kit/crypto/keys.ts'
import { derivedSealKeys, readEnvelope, sealer } from '../../lib/kit/crypto/seal.ts'
import { openSequence, type Sequence } from '../../lib/kit/os/sequence.ts'
import { type EmbeddedQueue, embeddedQueue } from '../../lib/platform/queue/embedded/queue.ts'
import { seededRandom, silentLog } from '../kit/random.ts'
import { risingNumbers } from '../kit/rising-numbers.ts'
import { secretsOf } from '../kit/secrets.ts'
import { virtualClock } from '../kit/virtual-clock.ts'
import { memoryServer } from '../sim/memory-server.ts'

const random = seededRandom(1)
const master = { id: 'k1', bytes: random.bytes(32) }
const seals = sealer(derivedSealKeys(derivedKeys(secretsOf([master]))))
const clock = virtualClock()

let dir: string
let queue: EmbeddedQueue
let driver: ReturnType<typeof memoryServer>
let agent: Agent
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffer-agent-'))
  queue = embeddedQueue({ clock, random })
  for (const topic of ['guest-i1-1', 'conductor']) await queue.declare(topic)
  driver = memoryServer()
  agent = await newAgent()
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** An agent as it starts on a machine, with the journal on its disk. */
const newAgent = async (options: { leaseMs?: number; health?(): Health; sequence?: Sequence } = {}) =>
  new Agent({
    subject: 'guest:i1',
    generation: 1,
    topic: 'guest-i1-1',
    conductor: 'conductor',
    queue,
    sealer: seals,
    journal: await openJournal(join(dir, 'journal')),
    driver,
    clock,
    random,
    sequence: risingNumbers(),
    log: silentLog,
    version: '1',
    onQuery: () => {},
    onSuccess: () => {},
    onFailure: () => {},
    health: () => ({ status: 'healthy' }),
    ...options,
  })

let lastMessage = 0
/** A message to the agent of that generation. */
async function message(content: GuestMessage, generation = 1) {
  const header = {
    subject: 'guest:i1',
    generation,
    direction: 'down',
    kind: content.kind,
    id: `m${++lastMessage}`,
  } as const
  const body = await seals.seal({ ...header, expires: clock.now() + 60_000 }, content)
  return { id: header.id, body, receipt: header.id, attempt: 1 }
}

const create = (number: number, name = `db${number}`, cancelled = false): GuestMessage => ({
  kind: 'command',
  number,
  method: 'create_database',
  input: cancelled ? null : { databases: [{ name }] },
  requestId: 'req-1',
  ...(cancelled && { cancelled }),
})

/** The agent's reports since the last call, in order: method, number, code. */
async function reportsOfCommands(): Promise<unknown[][]> {
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
  it('wait for their turn if they come early', async () => {
    await agent.take(await message(create(3)))
    await agent.take(await message(create(2)))
    expect(driver.executed).toEqual([])
    await agent.take(await message(create(1)))
    expect(driver.executed).toEqual([1, 2, 3].map(number => `create_database db${number}`))
    expect(await reportsOfCommands()).toEqual([1, 2, 3].map(number => ['notify_end', number]))
  })

  it('are not executed again when repeated, but answered as before, even after a restart', async () => {
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
    expect(await reportsOfCommands()).toEqual([...once, ...once])
  })

  it('are counted and not executed if cancelled', async () => {
    await agent.take(await message(create(1, '', true)))
    await agent.take(await message(create(2)))
    expect(driver.executed).toEqual(['create_database db2'])
    expect(await reportsOfCommands()).toEqual([
      ['notify_exc_info', 1, 409],
      ['notify_end', 2],
    ])
  })

  it('are dropped if they are unreadable or of another generation', async () => {
    await agent.take(await message(create(1), 2))
    await agent.take({ ...(await message(create(1))), body: 'x' })
    const { body, ...rest } = await message(create(1))
    await agent.take({ ...rest, body: body.replace(/.$/, last => (last === '}' ? ' ' : '}')) })
    expect([driver.executed, await reportsOfCommands()]).toEqual([[], []])
  })

  it('do not delay a query', async () => {
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
    expect(await reportsOfCommands()).toContainEqual(['notify_end', 1])
  })
})

describe('a query', () => {
  const answerTo = async (method: string) => {
    await agent.take(await message({ kind: 'query', method, input: { limit: 5 }, requestId: 'req-2' }))
    const [answer] = await queue.receive('conductor', { max: 10, waitMs: 0 })
    return seals.open(readEnvelope(answer?.body ?? ''))
  }

  it('to a database that has just died is refused, and is no fault of the agent', async () => {
    const lost = new Error('terminating connection')
    Object.assign(driver, { isConnectionLost: (error: unknown) => error === lost })
    driver.list_databases = () => Promise.reject(lost)
    expect(await answerTo('list_databases')).toEqual({
      refused: { code: 422, message: 'The database accepts no connections at the moment.' },
    })
    driver.list_databases = () => Promise.reject(new Error('a fault'))
    expect(await answerTo('list_databases')).toEqual({ failed: 'The agent could not answer.' })
  })
})

describe('an agent at rest', () => {
  /** What it reports in so many seconds. */
  async function reports(seconds: number): Promise<unknown[]> {
    for (let elapsed = 0; elapsed < seconds; elapsed += 10) await clock.advance(10_000)
    const messages = await queue.receive('conductor', { max: 10, waitMs: 0 })
    await queue.ack(
      'conductor',
      messages.map(({ receipt }) => receipt),
    )
    return Promise.all(messages.map(async ({ body }) => Report.parse(await seals.open(readEnvelope(body))).input))
  }

  it.each([
    ['once a minute', {}, 60, undefined],
    ['at the interval that it was configured with, which it reports too', { leaseMs: 180_000 }, 180, 180_000],
  ])('reports %s', async (_, options, seconds, lease) => {
    const ended = new AbortController()
    agent = await newAgent(options)
    const running = agent.run(ended.signal)
    const first = await reports(10)
    expect([first.length, (await reports(seconds - 30)).length, (await reports(30)).length]).toEqual([1, 0, 1])
    expect(Object(first[0]).lease).toBe(lease)
    ended.abort()
    await running
  })

  it('reports as often as before after its clock was set back', async () => {
    const ended = new AbortController()
    const running = agent.run(ended.signal)
    await reports(30)
    clock.setBack(86_400_000)
    expect((await reports(60)).length).toBeGreaterThanOrEqual(1)
    ended.abort()
    await running
  })
})

describe('heartbeats of an agent', () => {
  it('are numbered above those of before a restart, although the clock was set back meanwhile', async () => {
    const startAgain = async () =>
      newAgent({ sequence: await openSequence(join(dir, 'sequence.json'), { clock, log: silentLog }) })
    await (await startAgain()).heartbeat()
    clock.setBack(86_400_000)
    await (await startAgain()).heartbeat()
    const messages = await queue.receive('conductor', { max: 10, waitMs: 0 })
    const [before, after] = await Promise.all(
      messages.map(async ({ body }) => Report.parse(await seals.open(readEnvelope(body))).sequence),
    )
    expect(after).toBeGreaterThan(before!)
  })

  it('report the newest health last, although an earlier one takes longer', async () => {
    let status: Health['status'] = 'restarting'
    agent = await newAgent({ health: () => ({ status }) })
    const measure = driver.used_bytes
    let finish = () => {}
    driver.used_bytes = () =>
      new Promise(resolve => {
        finish = () => resolve(1)
      })
    const earlier = agent.heartbeat()
    driver.used_bytes = measure
    status = 'healthy'
    await agent.heartbeat()
    finish()
    await earlier
    const messages = await queue.receive('conductor', { max: 10, waitMs: 0 })
    const reports = await Promise.all(
      messages.map(async ({ body }) => Report.parse(await seals.open(readEnvelope(body)))),
    )
    // The conductor takes the one with the highest sequence.
    const [newest] = reports.sort((a, b) => b.sequence - a.sequence)
    expect(Object(newest?.input).service_status).toBe('healthy')
  })
})
