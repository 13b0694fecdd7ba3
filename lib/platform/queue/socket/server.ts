import { chmod, lstat, unlink } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { nextTick } from 'node:process'
import type { Clock, Log } from '../../../kit/clock.ts'
import { AccessDenied, type Grant, NoSuchTopic, type Queue } from '../../../ports/queue.ts'
import {
  decodeMessage,
  encodeFrames,
  type NumberedRequest,
  type Reply,
  type RequestOf,
  readLines,
  requests,
} from './protocol.ts'

/** A queue that tells what it holds. */
export interface BoundedQueue extends Queue {
  depth(topic: string): { inFlight: number } | undefined
  held(topic: string, group: string): { messages: number; bytes: number }
}

interface ServeQueueOptions {
  /** The path of the unix socket; at most about 100 bytes. */
  path: string
  /** The rights of a token's bearer; undefined = the token is not admitted. */
  admit: (token: string) => Promise<Grant | undefined>
  clock: Clock
  log: Log
}

/** A connection that has not shown a valid token by then is closed. */
const AUTH_MS = 5_000
/** The most requests under way, and the most unread replies, of one connection. */
const MAX_REQUESTS = 1_000
const MAX_UNREAD_BYTES = 16 * 1024 * 1024

/** What a topic holds of one sender: a report is small, and is read at once. */
const MAX_HELD = { messages: 1_000, bytes: 4 * 1024 * 1024 }
/** How many received messages a machine may leave unacknowledged, and how long it may hide one. */
const MAX_IN_FLIGHT = 200
const MAX_HIDDEN_MS = 60_000

/** The sender, or the receiver, has left too much undone. */
class TooMuch extends Error {
  override name = 'TooMuch'
}

/** The grant has expired; a new token would help. */
class Expired extends AccessDenied {}

/**
 * Serves a queue on a unix socket to all processes and users of the machine, each within the grant of its token. Throws
 * if another process serves there. `close` closes the connections and removes the socket; it does not close the queue.
 */
export async function serveQueue(queue: BoundedQueue, options: ServeQueueOptions): Promise<{ close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    new ClientConnection(socket, queue, options)
  })
  await removeStale(options.path)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.path, resolve)
  })
  await chmod(options.path, 0o666) // the token is the authority, not the file's mode
  return {
    close: () =>
      new Promise<void>(resolve => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

/** Removes a socket that a crash left behind. If a server answers on it, it stays and `listen` fails. */
async function removeStale(path: string): Promise<void> {
  const stats = await lstat(path).catch(() => undefined)
  if (!stats?.isSocket()) return
  const isServed = await new Promise<boolean>(resolve => {
    const socket = connect(path, () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
  if (!isServed) await unlink(path)
}

/** The server's side of one connection. */
class ClientConnection {
  readonly #socket: Socket
  readonly #queue: BoundedQueue
  readonly #options: ServeQueueOptions
  readonly #closed = new AbortController()
  /** Receives under way, by request id. */
  readonly #receives = new Map<number, AbortController>()
  #grant: Grant | undefined
  /** Set while a token is checked: later requests wait for it. */
  #authentication: Promise<void> | undefined
  #underWay = 0
  #lines = ''

  constructor(socket: Socket, queue: BoundedQueue, options: ServeQueueOptions) {
    this.#socket = socket
    this.#queue = queue
    this.#options = options
    readLines(socket, line => this.#onLine(line))
    socket.on('error', error => options.log.warn({ error: error.message }, 'a connection to the queue failed'))
    socket.on('close', () => this.#onClose())
    void options.clock.sleep(AUTH_MS, this.#closed.signal).then(() => {
      if (!this.#grant) socket.destroy()
    })
  }

  #onClose(): void {
    this.#closed.abort()
    for (const receive of this.#receives.values()) receive.abort()
  }

  #onLine(line: string): void {
    if (this.#underWay >= MAX_REQUESTS) throw new RangeError('too many requests at a time')
    if (this.#socket.writableLength > MAX_UNREAD_BYTES) throw new RangeError('too many answers left unread')
    const { success, data } = requests.safeParse(JSON.parse(line))
    if (!success) throw new TypeError('not a request')
    const handled = this.#handle(data)
    if (data.op === 'auth') this.#authentication = handled
  }

  async #handle(request: NumberedRequest): Promise<void> {
    this.#underWay++
    if (request.op !== 'auth') await this.#authentication
    try {
      if (request.op === 'receive') await this.#receive(request)
      else {
        await this.#perform(request)
        this.#confirm(request.id)
      }
    } catch (error) {
      this.#write(request.id, { error: this.#toReplyError(error) })
      if (request.op === 'auth') this.#socket.end()
    } finally {
      this.#underWay--
    }
  }

  async #perform(request: Exclude<NumberedRequest, RequestOf<'receive'>>): Promise<void> {
    const queue = this.#queue
    switch (request.op) {
      case 'auth':
        return this.#authenticate(request.token)
      case 'cancel':
        return this.#receives.get(request.of)?.abort()
      case 'send':
        return queue.send(request.topic, this.#withSenderGroup(request))
      case 'ack':
        this.#check('receive', request.topic)
        return queue.ack(request.topic, request.receipts)
      case 'extend':
        this.#check('receive', request.topic)
        return queue.extend(request.topic, request.receipt, Math.min(request.ms, MAX_HIDDEN_MS))
      case 'release':
        this.#check('receive', request.topic)
        return queue.release(request.topic, request.receipts, Math.min(request.delayMs, MAX_HIDDEN_MS))
      default:
        throw new AccessDenied(`topics are not ${request.op}d from here`)
    }
  }

  /**
   * All messages of a sender share one turn with the other senders, and one bound: they get the sender's group,
   * whatever they say. None is delayed. A sender whose own topic was removed (its instance is gone) has no rights any
   * more.
   */
  #withSenderGroup({ topic, messages }: RequestOf<'send'>) {
    const { receive } = this.#check('send', topic)
    const [group = ''] = receive
    if (!this.#queue.depth(group)) throw new AccessDenied('the receiver of this token is gone')
    const outgoing = messages.map(message => ({ body: decodeMessage(message).body, group }))
    const held = this.#queue.held(topic, group)
    const bytes = outgoing.reduce((sum, { body }) => sum + Buffer.byteLength(body), held.bytes)
    if (held.messages + outgoing.length > MAX_HELD.messages || bytes > MAX_HELD.bytes) {
      throw new TooMuch(`${held.messages} messages of this sender (${held.bytes} bytes) wait in ${topic} already`)
    }
    return outgoing
  }

  async #authenticate(token: string): Promise<void> {
    const grant = await this.#options.admit(token)
    if (!grant) throw new AccessDenied('the token is not admitted')
    this.#grant = grant
  }

  async #receive({ id, topic, max, waitMs }: RequestOf<'receive'>): Promise<void> {
    const { expires } = this.#check('receive', topic)
    if ((this.#queue.depth(topic)?.inFlight ?? 0) >= MAX_IN_FLIGHT) {
      throw new TooMuch(`${MAX_IN_FLIGHT} messages of ${topic} are unacknowledged`)
    }
    const cancel = new AbortController()
    this.#receives.set(id, cancel)
    if (this.#closed.signal.aborted) cancel.abort()
    try {
      // A wait ends with the grant that it began under.
      const grantMs = Math.max(expires - this.#options.clock.now(), 0)
      const options = { max, waitMs: Math.min(waitMs, grantMs), signal: cancel.signal }
      const messages = await this.#queue.receive(topic, options)
      if (messages.length === 0 && !cancel.signal.aborted) this.#check('receive', topic)
      const frames = encodeFrames(messages)
      for (const [index, part] of frames.entries()) {
        const reply = { messages: part, more: index < frames.length - 1 }
        this.#write(id, reply, () => this.#giveBack(topic, part))
      }
    } finally {
      this.#receives.delete(id)
    }
  }

  /** Messages that could not be written are released, so that they need not wait for their visibility to end. */
  #giveBack(topic: string, messages: { receipt: string }[]): void {
    const receipts = messages.map(({ receipt }) => receipt)
    if (receipts.length > 0) this.#queue.release(topic, receipts).catch(error => this.#toReplyError(error))
  }

  #check(right: 'receive' | 'send', topic: string): Grant {
    if (!this.#grant) throw new AccessDenied('no token was given')
    if (this.#grant.expires <= this.#options.clock.now()) throw new Expired('the token has expired')
    if (!this.#grant[right].includes(topic)) throw new AccessDenied(`the token does not admit to ${right}: ${topic}`)
    return this.#grant
  }

  #toReplyError(error: unknown): NonNullable<Reply['error']> {
    if (error instanceof Expired) return { name: 'NotAdmitted', message: error.message, expired: true }
    if (error instanceof AccessDenied) return { name: 'NotAdmitted', message: error.message }
    if (error instanceof NoSuchTopic) return { name: 'NoSuchTopic', message: error.message }
    if (error instanceof RangeError || error instanceof TooMuch) return { name: error.name, message: error.message }
    this.#options.log.error({ error: String(error) }, 'a request to the queue failed')
    return { name: 'Error', message: 'the queue failed' }
  }

  #write(id: number, reply: Reply, onFailure = () => {}): void {
    if (!this.#socket.writable) onFailure()
    else this.#socket.write(`${JSON.stringify({ id, ...reply })}\n`, error => error && onFailure())
  }

  /** Confirmations are not urgent: those of one turn of the event loop are written by one call. */
  #confirm(id: number): void {
    if (this.#lines === '') nextTick(() => this.#flush())
    this.#lines += `${JSON.stringify({ id })}\n`
  }

  #flush(): void {
    const lines = this.#lines
    this.#lines = ''
    if (this.#socket.writable) this.#socket.write(lines)
  }
}
