import { connect, type Socket } from 'node:net'

/** A request to send. */
export interface Shot {
  method: string
  path: string
  headers: Record<string, string>
  body?: string
}

/** The result of a run; times in milliseconds. */
export interface Load {
  requests: number
  perSecond: number
  p50: number
  p99: number
  /** How many responses had each status code. */
  statuses: Record<string, number>
}

/** The most requests of a run, however long it is. */
const MAX_REQUESTS = 1_000_000

/**
 * Sends requests over several connections, one at a time on each, for `ms` or until there were `limit`. Loopback
 * only.
 */
export async function load(
  base: string,
  connections: number,
  ms: number,
  shot: () => Shot,
  limit = MAX_REQUESTS,
): Promise<Load> {
  const { hostname, port } = new URL(base)
  if (!hostname.startsWith('127.')) throw new Error('load goes to loopback addresses only')
  const times: number[] = []
  const statuses: Record<string, number> = {}
  const begin = performance.now()
  const end = begin + ms
  let requests = 0
  const runConnection = async () => {
    const connection = new Connection(connect(Number(port), hostname))
    while (performance.now() < end && requests < limit) {
      requests++
      const start = performance.now()
      const status = await connection.send(requestText(shot(), hostname))
      times.push(performance.now() - start)
      statuses[status] = (statuses[status] ?? 0) + 1
    }
    connection.close()
  }
  await Promise.all(Array.from({ length: connections }, runConnection))
  const elapsed = performance.now() - begin
  times.sort((a, b) => a - b)
  const percentile = (share: number) => Math.round((times[Math.floor(times.length * share)] ?? 0) * 100) / 100
  return {
    requests: times.length,
    perSecond: Math.round((times.length * 1_000) / elapsed),
    p50: percentile(0.5),
    p99: percentile(0.99),
    statuses,
  }
}

function requestText({ method, path, headers, body }: Shot, host: string): string {
  const fields = { host, ...headers, ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }) }
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body ?? ''}`
}

/** A client that costs little: it reads just enough of HTTP to know when a response is complete. */
class Connection {
  readonly #socket: Socket
  #buffer = ''
  #resolve: ((status: string) => void) | undefined
  #reject: ((error: Error) => void) | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('data', chunk => this.#read(String(chunk)))
    socket.on('error', error => this.#reject?.(error))
    socket.on('close', () => this.#reject?.(new Error('the connection was closed')))
  }

  /** Sends a request; resolves to the response's status code. */
  send(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.#socket.write(text)
    })
  }

  close(): void {
    this.#reject = undefined
    this.#socket.destroy()
  }

  #read(chunk: string): void {
    this.#buffer += chunk
    const head = this.#buffer.indexOf('\r\n\r\n')
    if (head < 0) return
    const length = Number(/content-length: (\d+)/i.exec(this.#buffer.slice(0, head))?.[1] ?? 0)
    if (this.#buffer.length < head + 4 + length) return
    const status = this.#buffer.slice(9, 12)
    this.#buffer = this.#buffer.slice(head + 4 + length)
    this.#resolve?.(status)
  }
}
