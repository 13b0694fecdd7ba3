import { connect, type Socket } from 'node:net'

/** One kind of request, as it goes over the wire. */
export interface Shot {
  method: string
  path: string
  headers: Record<string, string>
  body?: string
}

/** What a run of requests showed; times in milliseconds. */
export interface Load {
  requests: number
  perSecond: number
  p50: number
  p99: number
  /** By status code. */
  statuses: Record<string, number>
}

/** How many requests may be asked at most, however long the run. */
const MOST = 1_000_000

/** Asks over so many connections, each one request at a time, for so long or until there were so many. Loopback only. */
export async function load(
  base: string,
  connections: number,
  ms: number,
  shot: () => Shot,
  most = MOST,
): Promise<Load> {
  const { hostname, port } = new URL(base)
  if (!hostname.startsWith('127.')) throw new Error('load goes to loopback addresses only')
  const times: number[] = []
  const statuses: Record<string, number> = {}
  const begun = performance.now()
  const end = begun + ms
  let asked = 0
  const one = async () => {
    const link = new Link(connect(Number(port), hostname))
    while (performance.now() < end && asked < most) {
      asked++
      const start = performance.now()
      const status = await link.ask(written(shot(), hostname))
      times.push(performance.now() - start)
      statuses[status] = (statuses[status] ?? 0) + 1
    }
    link.close()
  }
  await Promise.all(Array.from({ length: connections }, one))
  const took = performance.now() - begun
  times.sort((a, b) => a - b)
  const at = (share: number) => Math.round((times[Math.floor(times.length * share)] ?? 0) * 100) / 100
  return {
    requests: times.length,
    perSecond: Math.round((times.length * 1_000) / took),
    p50: at(0.5),
    p99: at(0.99),
    statuses,
  }
}

function written({ method, path, headers, body }: Shot, host: string): string {
  const all = { host, ...headers, ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }) }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body ?? ''}`
}

/** A connection that reads just enough of HTTP to know when an answer has come: a client that costs little. */
class Link {
  readonly #socket: Socket
  #heard = ''
  #answered: ((status: string) => void) | undefined
  #failed: ((error: Error) => void) | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('data', chunk => this.#hear(String(chunk)))
    socket.on('error', error => this.#failed?.(error))
    socket.on('close', () => this.#failed?.(new Error('the connection was closed')))
  }

  ask(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#answered = resolve
      this.#failed = reject
      this.#socket.write(text)
    })
  }

  close(): void {
    this.#failed = undefined
    this.#socket.destroy()
  }

  #hear(chunk: string): void {
    this.#heard += chunk
    const head = this.#heard.indexOf('\r\n\r\n')
    if (head < 0) return
    const length = Number(/content-length: (\d+)/i.exec(this.#heard.slice(0, head))?.[1] ?? 0)
    if (this.#heard.length < head + 4 + length) return
    const status = this.#heard.slice(9, 12)
    this.#heard = this.#heard.slice(head + 4 + length)
    this.#answered?.(status)
  }
}
