import { connect, type Socket } from 'node:net'
import { nextTick } from 'node:process'
import type { Clock } from '../../kit/clock.ts'
import type { Message } from './queue.ts'
import { hearLines, type Reply, type Request, type Wired } from './socket-server.ts'

/** How long what does not hurry may wait for something that does. */
const LATER_MS = 2

/** The connection broke before the answer. */
export class Lost extends Error {}

interface Asked {
  request: Request
  messages: Wired<Message>[]
  /** Nobody waits for the answer any more. */
  abandoned: boolean
  resolve(reply: Reply): void
  reject(error: Error): void
}

/** One connection; many requests at a time, told apart by their ids. */
export class Connection {
  lost = false
  renewal: Promise<Connection> | undefined
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #asked = new Map<number, Asked>()
  #lastId = 0
  /** What is asked, written by one call at the end of the turn of the loop, or a little later if nothing hurries. */
  #lines = ''
  #soon = false

  constructor(socket: Socket, clock: Clock) {
    this.#socket = socket
    this.#clock = clock
    hearLines(socket, line => this.#hear(JSON.parse(line)))
    socket.on('close', () => {
      this.lost = true
      for (const asked of this.#asked.values()) asked.reject(new Lost('the connection to the queue was lost'))
    })
  }

  /** Throws Lost, or `stop`'s reason. */
  ask(request: Request, stop?: AbortSignal): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (stop?.aborted) return reject(stop.reason)
      if (this.lost) return reject(new Lost('the connection to the queue was lost'))
      const asked = { request, messages: [], abandoned: false, resolve, reject }
      const id = this.#write(request)
      this.#asked.set(id, asked)
      stop?.addEventListener('abort', () => this.#abandon(id, stop), { once: true })
    })
  }

  close(): void {
    this.lost = true
    this.#socket.destroy()
  }

  #write(request: Request): number {
    const id = ++this.#lastId
    if (this.#hurries(request)) this.#flushSoon()
    else if (this.#lines === '') void this.#clock.sleep(LATER_MS).then(() => this.#flush())
    this.#lines += `${JSON.stringify({ id, ...request })}\n`
    return id
  }

  /** Nobody waits for an ack, nor for a receive while another is open: each write wakes the server's process. */
  #hurries(request: Request): boolean {
    if (request.op !== 'receive') return request.op !== 'ack'
    const { topic } = request
    return ![...this.#asked.values()].some(({ request: open }) => open.op === 'receive' && open.topic === topic)
  }

  #flushSoon(): void {
    if (this.#soon) return
    this.#soon = true
    nextTick(() => this.#flush())
  }

  #flush(): void {
    const lines = this.#lines
    this.#lines = ''
    this.#soon = false
    if (!this.lost && lines !== '') this.#socket.write(lines)
  }

  #abandon(id: number, stop: AbortSignal): void {
    const asked = this.#asked.get(id)
    if (!asked) return
    asked.abandoned = true
    asked.reject(stop.reason)
    if (asked.request.op === 'receive') this.#write({ op: 'cancel', of: id })
  }

  #hear(reply: Reply & { id: number }): void {
    const asked = this.#asked.get(reply.id)
    if (!asked) return
    asked.messages.push(...(reply.messages ?? []))
    if (reply.more) return
    this.#asked.delete(reply.id)
    if (!asked.abandoned) asked.resolve({ ...reply, messages: asked.messages })
    else if (asked.request.op === 'receive' && asked.messages.length > 0) this.#giveBack(asked.request.topic, asked)
  }

  /** Messages that came for nobody need not wait for their visibility to end. */
  #giveBack(topic: string, { messages }: Asked): void {
    this.#write({ op: 'release', topic, receipts: messages.map(({ receipt }) => receipt), delayMs: 0 })
  }
}

export function dial(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('connect', () => resolve(socket))
    socket.on('error', reject) // later ones end in `close` alone
  })
}
