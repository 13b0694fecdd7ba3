import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach } from '@jest/globals'
import type { Clock } from '../../../../lib/kit/clock.ts'
import { embeddedQueue } from '../../../../lib/platform/queue/embedded/queue.ts'
import { socketQueue } from '../../../../lib/platform/queue/socket/client.ts'
import { type BoundedQueue, serveQueue } from '../../../../lib/platform/queue/socket/server.ts'
import type { Grant, Queue } from '../../../../lib/ports/queue.ts'
import { seededRandom, silentLog } from '../../../kit/random.ts'
import { realClock, virtualClock } from '../../../kit/virtual-clock.ts'

export const FOREVER = Number.MAX_SAFE_INTEGER
export const AT_ONCE = { max: 10, waitMs: 0 }
export const LONG = { max: 10, waitMs: 20_000 }

/** The folder of a test and the socket's path, which a test may change. */
export const place = { directory: '', path: '' }
/** What is closed after each test. */
let open: (() => Promise<unknown>)[] = []

/** Gives each test a folder of its own, and closes afterwards what it opened. */
export function useFolder(): void {
  beforeEach(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'coffer-'))
    Object.assign(place, { directory, path: join(directory, 'queue.sock') })
    open = [() => rm(directory, { recursive: true })]
  })
  afterEach(async () => {
    for (const close of open.reverse()) await close()
  })
}

export function closing<T extends { close(): Promise<void> }>(it: T): T {
  open.push(() => it.close())
  return it
}

/** An embedded queue with the topics `agent`, `conductor` and `other`, and grants by token. */
export async function setUp(clock: Clock = virtualClock()) {
  const inner = closing(embeddedQueue({ clock, random: seededRandom(1) }))
  for (const topic of ['agent', 'conductor', 'other']) await inner.declare(topic)
  const grants = new Map<string, Grant>([['agent', { receive: ['agent'], send: ['conductor'], expires: FOREVER }]])
  const serve = async (queue: BoundedQueue = inner) =>
    closing(
      await serveQueue(queue, { path: place.path, clock, log: silentLog, admit: async token => grants.get(token) }),
    )
  // The millisecond or two for which requests that are not urgent are collected pass in real time.
  const sleep: Clock['sleep'] = (ms, signal) => (ms <= 2 ? realClock : clock).sleep(ms, signal)
  const clientClock = { ...clock, sleep }
  const client = (token = async () => 'agent') =>
    closing(socketQueue({ path: place.path, token, clock: clientClock, log: silentLog }))
  return { inner, grants, serve, client }
}

/** The same, a server and a client running. */
export async function connected(clock?: Clock, token?: () => Promise<string>) {
  const parts = await setUp(clock)
  return { ...parts, server: await parts.serve(), queue: parts.client(token) }
}

/** A receive that has reached the server. */
export async function pending(queue: Queue, signal?: AbortSignal) {
  const messages = queue.receive('agent', { ...LONG, ...(signal && { signal }) })
  await queue.ack('agent', [])
  return { messages }
}

/** A connection that sends any frame. */
export function rawClient() {
  const socket = connect(place.path)
  socket.on('error', () => {})
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  return {
    socket,
    send: (frame: object) => socket.write(`${JSON.stringify(frame)}\n`),
    read: async (): Promise<unknown> => JSON.parse((await lines.next()).value ?? 'null'),
    closed: new Promise<void>(resolve => socket.once('close', () => resolve())),
  }
}

/** A queue whose receives return messages only after `until`, whatever their signal; resolves when one is released. */
export function delayedReceives(inner: BoundedQueue, until: (signal?: AbortSignal) => Promise<unknown>) {
  const { promise: released, resolve } = Promise.withResolvers<void>()
  const receive: Queue['receive'] = async (topic, { signal }) => {
    await until(signal)
    return inner.receive(topic, AT_ONCE)
  }
  const release: Queue['release'] = (...args) => inner.release(...args).then(resolve)
  return { queue: { ...inner, receive, release }, released }
}
