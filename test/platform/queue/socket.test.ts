import { link, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { Clock } from '../../../lib/kit/clock.ts'
import { embeddedQueue } from '../../../lib/platform/queue/embedded.ts'
import { type Grant, NoSuchTopic, NotAdmitted, type Queue } from '../../../lib/platform/queue/queue.ts'
import { socketQueue } from '../../../lib/platform/queue/socket-client.ts'
import { serveQueue } from '../../../lib/platform/queue/socket-server.ts'
import { queueCases } from '../../cases/queue.ts'
import { seededRandom, silentLog } from '../../kit/random.ts'
import { realClock, virtualClock } from '../../kit/virtual-clock.ts'

const FOREVER = Number.MAX_SAFE_INTEGER
const AT_ONCE = { max: 10, waitMs: 0 }
const LONG = { max: 10, waitMs: 20_000 }

let directory: string
let path: string
/** What each test leaves to be closed. */
let open: (() => Promise<unknown>)[]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coffer-'))
  path = join(directory, 'queue.sock')
  open = [() => rm(directory, { recursive: true })]
})
afterEach(async () => {
  for (const close of open.reverse()) await close()
})

function closing<T extends { close(): Promise<void> }>(it: T): T {
  open.push(() => it.close())
  return it
}

/** An embedded queue with the topics `mine`, `conductor` and `other`, and grants by token. */
async function setUp(clock: Clock = virtualClock()) {
  const inner = closing(embeddedQueue({ clock, random: seededRandom(1) }))
  for (const topic of ['mine', 'conductor', 'other']) await inner.declare(topic)
  const grants = new Map<string, Grant>([['agent', { receive: ['mine'], send: ['conductor'], expires: FOREVER }]])
  const serve = async (queue: Queue = inner) =>
    closing(await serveQueue(queue, { path, clock, log: silentLog, admit: async token => grants.get(token) }))
  // The millisecond or two for which it gathers what does not hurry pass by themselves.
  const sleep: Clock['sleep'] = (ms, signal) => (ms <= 2 ? realClock : clock).sleep(ms, signal)
  const near = { ...clock, sleep }
  const client = (token = async () => 'agent') => closing(socketQueue({ path, token, clock: near, log: silentLog }))
  return { inner, grants, serve, client }
}

/** The same, a server and a client running. */
async function connected(clock?: Clock, token?: () => Promise<string>) {
  const parts = await setUp(clock)
  return { ...parts, server: await parts.serve(), queue: parts.client(token) }
}

/** A receive that has reached the server. */
async function pending(queue: Queue, signal?: AbortSignal) {
  const messages = queue.receive('mine', { ...LONG, ...(signal && { signal }) })
  await queue.ack('mine', [])
  return { messages }
}

const sockets = async () => {
  const clock = virtualClock()
  const { inner, grants, queue } = await connected(clock)
  const names = ['a', 'b', 'c']
  for (const name of names) await inner.declare(name)
  grants.set('agent', { receive: ['mine', ...names], send: [...names], expires: FOREVER })
  return {
    queue,
    topic: async () => names.shift()!,
    declare: inner.declare,
    remove: inner.remove,
    async advance(ms: number) {
      await queue.ack('mine', []) // by its answer all that was asked before is at the server
      await clock.advance(ms)
    },
    close: queue.close,
  }
}
// What one sends is of one group: groups take turns between senders.
queueCases('socket queue', sockets, { fair: false, groups: 'mine' })

/** A connection that says what it likes. */
function rawClient() {
  const socket = connect(path)
  socket.on('error', () => {})
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  return {
    socket,
    say: (frame: object) => socket.write(`${JSON.stringify(frame)}\n`),
    hear: async (): Promise<unknown> => JSON.parse((await lines.next()).value ?? 'null'),
    closed: new Promise<void>(resolve => socket.once('close', () => resolve())),
  }
}

/** A queue whose receives give messages only after `until`, whatever their signal says; tells when one is released. */
function crossing(inner: Queue, until: (signal?: AbortSignal) => Promise<unknown>) {
  const { promise: released, resolve } = Promise.withResolvers<void>()
  const receive: Queue['receive'] = async (topic, { signal }) => {
    await until(signal)
    return inner.receive(topic, AT_ONCE)
  }
  const release: Queue['release'] = (...given) => inner.release(...given).then(resolve)
  return { queue: { ...inner, receive, release }, released }
}

const admittedNot = (call: Promise<unknown>) => expect(call).rejects.toThrow(NotAdmitted)

describe('what a grant admits', () => {
  it('is nothing but its own topics', async () => {
    const { queue } = await connected()
    await queue.send('conductor', [{ body: 'x' }])
    expect(await queue.receive('mine', AT_ONCE)).toEqual([])
    const settling = (to: string) => [queue.ack(to, []), queue.release(to, []), queue.extend(to, 'x', 1)]
    const receiving = (to: string) => [queue.receive(to, AT_ONCE), ...settling(to)]
    await Promise.all(['conductor', 'other', 'unheard-of'].flatMap(receiving).map(admittedNot))
    await Promise.all(['mine', 'other'].map(topic => admittedNot(queue.send(topic, [{ body: 'x' }]))))
    await Promise.all([queue.declare('mine'), queue.remove('mine')].map(admittedNot))
  })

  it('is one turn among all who send, whatever group they say that they are', async () => {
    const { inner, grants, queue, client } = await connected()
    grants.set('flooder', { receive: ['other'], send: ['conductor'], expires: FOREVER })
    const flooder = client(async () => 'flooder')
    const junk = (groups: (string | undefined)[]) =>
      flooder.send(
        'conductor',
        groups.map(group => ({ body: 'junk', ...(group !== undefined && { group }) })),
      )
    for (let part = 0; part < 10; part++) {
      await junk(Array.from({ length: 400 }, () => undefined))
      await junk(Array.from({ length: 300 }, () => 'mine'))
      await junk(Array.from({ length: 300 }, (_, number) => `group ${part} ${number}`))
    }
    await queue.send('conductor', [{ body: 'report' }, { body: 'report', group: 'other' }])
    const first = await inner.receive('conductor', { max: 4, waitMs: 0 })
    expect(first.map(({ body }) => body).sort()).toEqual(['junk', 'junk', 'report', 'report'])
  })

  it('needs a token that is known, within 5 s', async () => {
    const clock = virtualClock()
    const { queue, client } = await connected(clock)
    await queue.ack('mine', [])
    await admittedNot(client(async () => 'forged').receive('mine', LONG))
    const [silent, forger] = [rawClient(), rawClient()]
    silent.say({ id: 1, op: 'receive', topic: 'mine', max: 1, waitMs: 0 })
    expect(await silent.hear()).toMatchObject({ id: 1, error: { name: 'NotAdmitted' } })
    forger.say({ id: 2, op: 'auth', token: 'forged' })
    expect(await forger.hear()).toMatchObject({ id: 2, error: { name: 'NotAdmitted' } })
    await forger.closed
    await clock.advance(5_000)
    await silent.closed
    expect(await queue.receive('mine', AT_ONCE)).toEqual([])
  })

  it('ends, and the client shows a new token on the same connection', async () => {
    const clock = virtualClock()
    let asked = 0
    const { inner, grants, queue } = await connected(clock, async () => `token-${++asked}`)
    const grant = { receive: ['mine'], send: ['conductor'] }
    for (const count of [1, 2, 3]) grants.set(`token-${count}`, { ...grant, expires: clock.now() + count * 1_000 })
    const wait = await pending(queue)
    await clock.advance(1_000)
    await inner.send('mine', [{ body: 'y' }])
    expect(inner.depth('mine')).toEqual({ ready: 1, inFlight: 0 }) // the wait ended with the grant
    await Promise.all([queue.send('conductor', [{ body: 'x' }]), queue.ack('mine', [])])
    expect(asked).toBe(2)
    expect(await wait.messages).toMatchObject([{ body: 'y' }])
  })

  it('ends for good when the new token has expired too', async () => {
    let asked = 0
    const { grants, queue } = await connected(virtualClock(), async () => `old-${++asked}`)
    for (const old of ['old-1', 'old-2', 'old-3']) grants.set(old, { receive: ['mine'], send: [], expires: 1 })
    await admittedNot(queue.receive('mine', LONG))
    expect(asked).toBe(2)
  })
})

describe('a lost connection', () => {
  it('ends no receive and loses nothing that is sent', async () => {
    const { inner, queue, server, serve } = await connected(realClock)
    const wait = await pending(queue)
    await server.close()
    const sent = queue.send('conductor', [{ body: 'sent' }])
    await serve()
    await inner.send('mine', [{ body: 'x' }])
    expect(await wait.messages).toMatchObject([{ body: 'x', attempt: 1 }])
    await sent
    expect(await inner.receive('conductor', AT_ONCE)).toMatchObject([{ body: 'sent' }])
  })

  it('is given up by a send after 10 s, and by a receive when its wait is over', async () => {
    const clock = virtualClock()
    const queue = (await setUp(clock)).client()
    const sent = expect(queue.send('conductor', [{ body: 'x' }])).rejects.toThrow('in time')
    const wait = queue.receive('mine', { max: 1, waitMs: 5_000 })
    await clock.advance(10_000)
    await sent
    expect(await wait).toEqual([])
  })

  it('leaves no receive behind at the server', async () => {
    const { inner, queue, client } = await connected()
    const wait = await pending(queue)
    await queue.close()
    expect(await wait.messages).toEqual([])
    const next = client() // whose connection the server sees after the end of the first
    await next.ack('mine', [])
    await inner.send('mine', [{ body: 'x' }])
    expect(inner.depth('mine')).toEqual({ ready: 1, inFlight: 0 })
  })

  it('gives back at once what could not be written', async () => {
    const { inner, serve } = await setUp()
    const late = crossing(inner, signal => new Promise(resolve => signal?.addEventListener('abort', resolve)))
    await serve(late.queue)
    await inner.send('mine', [{ body: 'x' }])
    const raw = rawClient()
    raw.say({ id: 1, op: 'auth', token: 'agent' })
    raw.say({ id: 2, op: 'receive', topic: 'mine', max: 1, waitMs: 20_000 })
    await raw.hear()
    raw.socket.end()
    await late.released
    expect(inner.depth('mine')).toEqual({ ready: 1, inFlight: 0 })
  })
})

describe('frames', () => {
  const mega = 'x'.repeat(1024 * 1024)
  const malformed = ['nonsense\n', '[]\n', 'null\n', '{"id":"1","op":"auth","token":"agent"}\n', '{"id":1,"op":"x"}\n']
  const long = [`{"id":1,"op":"auth","token":"${mega}"}\n`, `${mega}y`]

  it.each([...malformed, ...long])('that are malformed or too long end their connection only: %.30j', async text => {
    const { inner, queue } = await connected()
    const wait = await pending(queue)
    const raw = rawClient()
    raw.socket.write(text)
    await raw.closed
    await inner.send('mine', [{ body: 'x' }])
    expect(await wait.messages).toMatchObject([{ body: 'x' }])
  })

  it('hold the greatest messages', async () => {
    const { inner, queue } = await connected()
    const bodies = Array.from({ length: 10 }, (_, number) => String.fromCharCode(number).repeat(256 * 1024))
    const messages = bodies.map(body => ({ body }))
    await queue.send('conductor', messages)
    expect(inner.depth('conductor')).toEqual({ ready: 10, inFlight: 0 })
    await inner.send('mine', messages)
    const received = await queue.receive('mine', LONG)
    expect(received.map(({ body }, index) => body === bodies[index])).toEqual(Array(10).fill(true))
  })

  it('may come in any pieces', async () => {
    await connected()
    const raw = rawClient()
    const text = '{"id":1,"op":"auth","token":"agent"}\n{"id":2,"op":"ack","topic":"mine","receipts":["ü"]}\n'
    for (const byte of Buffer.from(text)) await new Promise(resolve => raw.socket.write(Buffer.of(byte), resolve))
    expect([await raw.hear(), await raw.hear()]).toEqual([{ id: 1 }, { id: 2 }])
  })
})

describe('client and server', () => {
  it('give back what comes for a receive that was aborted meanwhile', async () => {
    const { inner, serve, client } = await setUp()
    const arrival = Promise.withResolvers<void>()
    const late = crossing(inner, () => arrival.promise)
    await serve(late.queue)
    await inner.send('mine', [{ body: 'x' }])
    const abort = new AbortController()
    const wait = await pending(client(), abort.signal)
    abort.abort()
    expect(await wait.messages).toEqual([])
    arrival.resolve()
    await late.released
    expect(inner.depth('mine')).toEqual({ ready: 1, inFlight: 0 })
  })

  it('pass errors on', async () => {
    const { inner, grants, serve, client } = await setUp()
    await serve({ ...inner, extend: () => Promise.reject(new Error('a secret')) })
    grants.get('agent')?.receive.push('gone')
    const queue = client()
    await expect(queue.receive('gone', LONG)).rejects.toThrow(new NoSuchTopic('gone'))
    await expect(queue.receive('mine', { max: 11, waitMs: 0 })).rejects.toThrow(RangeError)
    await expect(queue.extend('mine', 'x', 1)).rejects.toThrow('the queue failed')
  })

  it('end at once when the client is closed while it connects, and refuse calls afterwards', async () => {
    const { queue } = await connected(virtualClock(), () => new Promise(() => {}))
    const wait = queue.receive('mine', LONG)
    const sent = expect(queue.send('conductor', [{ body: 'x' }])).rejects.toThrow('closed')
    await queue.close()
    expect(await wait).toEqual([])
    await sent
    await expect(queue.receive('mine', LONG)).rejects.toThrow('closed')
  })

  it('meet at a socket file that is open to every user, goes with the server and replaces a stale one', async () => {
    const { server, serve, queue } = await connected()
    expect(((await stat(path)).mode & 0o777).toString(8)).toBe('666')
    await link(path, `${path}.stale`)
    await server.close()
    await expect(stat(path)).rejects.toThrow('ENOENT')
    await rename(`${path}.stale`, path)
    await serve()
    expect(await queue.receive('mine', AT_ONCE)).toEqual([])
  })

  it('take no socket file from a server that answers, nor the place of a file of another kind', async () => {
    const { serve, queue } = await connected()
    await expect(serve()).rejects.toThrow('EADDRINUSE')
    expect(await queue.receive('mine', AT_ONCE)).toEqual([])
    path = join(directory, 'a-file')
    await writeFile(path, 'precious')
    await expect(serve()).rejects.toThrow('EADDRINUSE')
  })
})
