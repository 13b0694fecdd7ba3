import { connect, type Socket } from 'node:net'
import { nextTick } from 'node:process'
import type { Clock } from '../../../kit/clock.ts'
import type { Message } from '../../../ports/queue.ts'
import { type Reply, type Request, readLines, type WireMessage } from './protocol.ts'

/** How long a request that is not urgent may wait for one that is. */
const NOT_URGENT_MS = 2

/** The connection broke before the reply came. */
export class ConnectionLost extends Error {}

interface PendingRequest {
  request: Request
  messages: WireMessage<Message>[]
  /** The caller no longer waits for the reply. */
  isAbandoned: boolean
  resolve(reply: Reply): void
  reject(error: Error): void
}

/** One connection with many requests at a time, each with an id that its reply repeats. */
export class Connection {
  isLost = false
  renewal: Promise<Connection> | undefined
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #pending = new Map<number, PendingRequest>()
  #lastId = 0
  /** Requests not yet written: all go out at the end of the event loop's turn, or a little later if none is urgent. */
  #lines = ''
  #isFlushScheduled = false

  constructor(socket: Socket, clock: Clock) {
    this.#socket = socket
    this.#clock = clock
    readLines(socket, line => this.#onReply(JSON.parse(line)))
    socket.on('close', () => {
      this.isLost = true
      for (const { reject } of this.#pending.values())
        reject(new ConnectionLost('the connection to the queue was lost'))
    })
  }

  /** Sends a request and resolves with its reply. Throws ConnectionLost, or `stop`'s reason. */
  request(request: Request, stop?: AbortSignal): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (stop?.aborted) return reject(stop.reason)
      if (this.isLost) return reject(new ConnectionLost('the connection to the queue was lost'))
      const pending = { request, messages: [], isAbandoned: false, resolve, reject }
      const id = this.#write(request)
      this.#pending.set(id, pending)
      stop?.addEventListener('abort', () => this.#abandon(id, stop), { once: true })
    })
  }

  close(): void {
    this.isLost = true
    this.#socket.destroy()
  }

  #write(request: Request): number {
    const id = ++this.#lastId
    if (this.#isUrgent(request)) this.#flushSoon()
    else if (this.#lines === '') void this.#clock.sleep(NOT_URGENT_MS).then(() => this.#flush())
    this.#lines += `${JSON.stringify({ id, ...request })}\n`
    return id
  }

  /**
   * Not urgent are an ack, and a receive while another one is open: no caller waits for them, and each write wakes the
   * server's process.
   */
  #isUrgent(request: Request): boolean {
    if (request.op !== 'receive') return request.op !== 'ack'
    const { topic } = request
    return ![...this.#pending.values()].some(({ request: open }) => open.op === 'receive' && open.topic === topic)
  }

  #flushSoon(): void {
    if (this.#isFlushScheduled) return
    this.#isFlushScheduled = true
    nextTick(() => this.#flush())
  }

  #flush(): void {
    const lines = this.#lines
    this.#lines = ''
    this.#isFlushScheduled = false
    if (!this.isLost && lines !== '') this.#socket.write(lines)
  }

  #abandon(id: number, stop: AbortSignal): void {
    const pending = this.#pending.get(id)
    if (!pending) return
    pending.isAbandoned = true
    pending.reject(stop.reason)
    if (pending.request.op === 'receive') this.#write({ op: 'cancel', of: id })
  }

  #onReply(reply: Reply & { id: number }): void {
    const pending = this.#pending.get(reply.id)
    if (!pending) return
    const { request, messages, isAbandoned } = pending
    messages.push(...(reply.messages ?? []))
    if (reply.more) return
    this.#pending.delete(reply.id)
    if (!isAbandoned) pending.resolve({ ...reply, messages })
    else if (request.op === 'receive' && messages.length > 0) this.#giveBack(request.topic, messages)
  }

  /** Messages of an abandoned receive are released, so that they need not wait for their visibility to end. */
  #giveBack(topic: string, messages: WireMessage<Message>[]): void {
    this.#write({ op: 'release', topic, receipts: messages.map(({ receipt }) => receipt), delayMs: 0 })
  }
}

export function connectSocket(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('connect', () => resolve(socket))
    socket.on('error', reject) // later errors are reported by `close` alone
  })
}
