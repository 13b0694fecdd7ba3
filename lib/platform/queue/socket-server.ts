import { chmod, lstat, unlink } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { nextTick } from 'node:process'
import { z } from 'zod'
import type { Clock, Log } from '../../kit/clock.ts'
import { type Grant, type Message, NoSuchTopic, NotAdmitted, type Queue } from './queue.ts'

export interface ServeQueueOptions {
  /** Where the unix socket is made; at most about 100 bytes. */
  path: string
  /** What the bearer of a token may do; undefined = nothing. */
  admit: (token: string) => Promise<Grant | undefined>
  clock: Clock
  log: Log
}

/** The most bytes of a frame: one line of JSON, its line feed not counted. */
const MAX_FRAME = 1024 * 1024
/** How long a connection may stay without a token. */
const AUTH_MS = 5_000
/** What one connection may have under way, and leave unread. */
const MAX_REQUESTS = 1_000
const MAX_UNREAD_BYTES = 16 * 1024 * 1024

const id = z.int()
const topic = z.string()
const receipts = z.array(z.string())
const ms = z.number().min(0)
const outgoing = z.object({
  body: z.string(),
  delayMs: z.number().exactOptional(),
  base64: z.boolean().exactOptional(),
})

const requests = z.discriminatedUnion('op', [
  z.object({ id, op: z.literal('auth'), token: z.string() }),
  z.object({ id, op: z.literal('receive'), topic, max: z.number(), waitMs: ms }),
  z.object({ id, op: z.literal('cancel'), of: id }),
  z.object({ id, op: z.literal('send'), topic, messages: z.array(outgoing) }),
  z.object({ id, op: z.literal('ack'), topic, receipts }),
  z.object({ id, op: z.literal('extend'), topic, receipt: z.string(), ms }),
  z.object({ id, op: z.literal('release'), topic, receipts, delayMs: ms }),
  z.object({ id, op: z.enum(['declare', 'remove']), topic }),
])
type Numbered = z.infer<typeof requests>
type Asked<Op extends Numbered['op']> = Extract<Numbered, { op: Op }>

/** What a client asks: a frame without its `id`, which the reply repeats. */
export type Request = Numbered extends infer Each ? (Each extends Numbered ? Omit<Each, 'id'> : never) : never

/** What a server answers; `more` = another frame with messages follows; `expired` = a new token would help. */
export interface Reply {
  messages?: Wired<Message>[]
  more?: boolean
  error?: { name: string; message: string; expired?: boolean }
}

/** A message on the wire, its body perhaps as base64. */
export type Wired<T extends { body: string }> = T & { base64?: boolean }

/** The grant has expired; a new token would help. */
class Expired extends NotAdmitted {}

/**
 * Lets other processes of the machine, of whatever user, reach a queue by a unix socket, each within the grant of its
 * token. Throws if another process serves there. `close` ends the connections and removes the socket, not the queue.
 */
export async function serveQueue(queue: Queue, options: ServeQueueOptions): Promise<{ close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    new Peer(socket, queue, options)
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

/** Removes what a crash left. A socket that somebody answers at stays, and `listen` fails. */
async function removeStale(path: string): Promise<void> {
  const stats = await lstat(path).catch(() => undefined)
  if (!stats?.isSocket()) return
  const answered = await new Promise<boolean>(resolve => {
    const socket = connect(path, () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
  if (!answered) await unlink(path)
}

/** The server's end of one connection. */
class Peer {
  readonly #socket: Socket
  readonly #queue: Queue
  readonly #options: ServeQueueOptions
  readonly #gone = new AbortController()
  readonly #receives = new Map<number, AbortController>()
  #grant: Grant | undefined
  /** While a token is looked at, what was asked after it waits. */
  #admission: Promise<void> | undefined
  #underWay = 0
  #lines = ''

  constructor(socket: Socket, queue: Queue, options: ServeQueueOptions) {
    this.#socket = socket
    this.#queue = queue
    this.#options = options
    hearLines(socket, line => this.#hear(line))
    socket.on('error', error => options.log.warn({ error: error.message }, 'a connection to the queue failed'))
    socket.on('close', () => this.#leave())
    void options.clock.sleep(AUTH_MS, this.#gone.signal).then(() => {
      if (!this.#grant) socket.destroy()
    })
  }

  #leave(): void {
    this.#gone.abort()
    for (const receive of this.#receives.values()) receive.abort()
  }

  #hear(line: string): void {
    if (this.#underWay >= MAX_REQUESTS) throw new RangeError('too many requests at a time')
    if (this.#socket.writableLength > MAX_UNREAD_BYTES) throw new RangeError('too many answers left unread')
    const { success, data } = requests.safeParse(JSON.parse(line))
    if (!success) throw new TypeError('not a request')
    const answered = this.#answer(data)
    if (data.op === 'auth') this.#admission = answered
  }

  async #answer(request: Numbered): Promise<void> {
    this.#underWay++
    if (request.op !== 'auth') await this.#admission
    try {
      if (request.op === 'receive') await this.#receive(request)
      else {
        await this.#perform(request)
        this.#done(request.id)
      }
    } catch (error) {
      this.#write(request.id, { error: this.#described(error) })
      if (request.op === 'auth') this.#socket.end()
    } finally {
      this.#underWay--
    }
  }

  async #perform(request: Exclude<Numbered, Asked<'receive'>>): Promise<void> {
    const queue = this.#queue
    switch (request.op) {
      case 'auth':
        return this.#authenticate(request.token)
      case 'cancel':
        return this.#receives.get(request.of)?.abort()
      case 'send':
        return queue.send(request.topic, this.#grouped(request))
      case 'ack':
        this.#check('receive', request.topic)
        return queue.ack(request.topic, request.receipts)
      case 'extend':
        this.#check('receive', request.topic)
        return queue.extend(request.topic, request.receipt, request.ms)
      case 'release':
        this.#check('receive', request.topic)
        return queue.release(request.topic, request.receipts, request.delayMs)
      default:
        throw new NotAdmitted(`topics are not ${request.op}d from here`)
    }
  }

  /** All that one may send takes one turn among those who send: it is of the sender's own group, whatever it says. */
  #grouped({ topic, messages }: Asked<'send'>) {
    const [group = ''] = this.#check('send', topic).receive
    return messages.map(message => ({ ...unwired(message), group }))
  }

  async #authenticate(token: string): Promise<void> {
    const grant = await this.#options.admit(token)
    if (!grant) throw new NotAdmitted('the token is not admitted')
    this.#grant = grant
  }

  async #receive({ id, topic, max, waitMs }: Asked<'receive'>): Promise<void> {
    const { expires } = this.#check('receive', topic)
    const over = new AbortController()
    this.#receives.set(id, over)
    if (this.#gone.signal.aborted) over.abort()
    try {
      // A grant ends the waits that began under it.
      const left = Math.max(expires - this.#options.clock.now(), 0)
      const options = { max, waitMs: Math.min(waitMs, left), signal: over.signal }
      const messages = await this.#queue.receive(topic, options)
      if (messages.length === 0 && !over.signal.aborted) this.#check('receive', topic)
      const frames = framed(messages)
      for (const [index, part] of frames.entries()) {
        const reply = { messages: part, more: index < frames.length - 1 }
        this.#write(id, reply, () => this.#giveBack(topic, part))
      }
    } finally {
      this.#receives.delete(id)
    }
  }

  /** Messages that could not be written need not wait for their visibility to end. */
  #giveBack(topic: string, messages: { receipt: string }[]): void {
    const receipts = messages.map(({ receipt }) => receipt)
    if (receipts.length > 0) this.#queue.release(topic, receipts).catch(error => this.#described(error))
  }

  #check(right: 'receive' | 'send', topic: string): Grant {
    if (!this.#grant) throw new NotAdmitted('no token was given')
    if (this.#grant.expires <= this.#options.clock.now()) throw new Expired('the token has expired')
    if (!this.#grant[right].includes(topic)) throw new NotAdmitted(`the token does not admit to ${right}: ${topic}`)
    return this.#grant
  }

  #described(error: unknown): NonNullable<Reply['error']> {
    if (error instanceof Expired) return { name: 'NotAdmitted', message: error.message, expired: true }
    if (error instanceof NotAdmitted) return { name: 'NotAdmitted', message: error.message }
    if (error instanceof NoSuchTopic) return { name: 'NoSuchTopic', message: error.message }
    if (error instanceof RangeError) return { name: 'RangeError', message: error.message }
    this.#options.log.error({ error: String(error) }, 'a request to the queue failed')
    return { name: 'Error', message: 'the queue failed' }
  }

  #write(id: number, reply: Reply, failed = () => {}): void {
    if (!this.#socket.writable) failed()
    else this.#socket.write(`${JSON.stringify({ id, ...reply })}\n`, error => error && failed())
  }

  /** That all is well hurries nobody: what a turn of the loop says so of is written by one call. */
  #done(id: number): void {
    if (this.#lines === '') nextTick(() => this.#flush())
    this.#lines += `${JSON.stringify({ id })}\n`
  }

  #flush(): void {
    const lines = this.#lines
    this.#lines = ''
    if (this.#socket.writable) this.#socket.write(lines)
  }
}

/** Parts messages into frames. A long body travels as base64, since JSON can make six bytes of one. */
export function framed<T extends { body: string }>(messages: T[]): Wired<T>[][] {
  const frames: Wired<T>[][] = [[]]
  let room = MAX_FRAME
  for (const message of messages) {
    const long = message.body.length > 64 * 1024
    const wired = long ? { ...message, body: Buffer.from(message.body).toString('base64'), base64: true } : message
    const most = 1024 + wired.body.length * (long ? 1 : 6)
    if (most > room) {
      frames.push([])
      room = MAX_FRAME
    }
    room -= most
    frames.at(-1)!.push(wired)
  }
  return frames
}

/** The message as it was before `framed`. */
export function unwired<T extends { body: string }>({ base64, ...message }: Wired<T>): Omit<Wired<T>, 'base64'> {
  return base64 ? { ...message, body: Buffer.from(message.body, 'base64').toString() } : message
}

/** Cuts a stream into lines for `hear`; destroys the socket if one is longer than MAX_FRAME or `hear` throws. */
export function hearLines(socket: Socket, hear: (line: string) => void): void {
  let parts: Buffer[] = []
  let size = 0
  socket.on('data', (chunk: Buffer) => {
    try {
      for (let rest: Buffer | undefined = chunk; rest && !socket.destroyed; ) {
        const end: number = rest.indexOf(10)
        parts.push(end < 0 ? rest : rest.subarray(0, end))
        size += parts.at(-1)!.length
        if (size > MAX_FRAME) throw new RangeError('a frame is too long')
        rest = end < 0 ? undefined : rest.subarray(end + 1)
        if (!rest) return
        const line = Buffer.concat(parts).toString()
        parts = []
        size = 0
        hear(line)
      }
    } catch (error) {
      socket.destroy(error as Error)
    }
  })
}
