import type { Socket } from 'node:net'

/** What a fake server asks its clients for: a password in three forms, or nothing at all. */
export const DEMANDS = ['clear', 'md5', 'sasl', 'nothing'] as const
export type Demand = (typeof DEMANDS)[number]

const SSL_REQUEST = 80877103

/** The salt of its demand for an MD5 hash. */
export const MD5_SALT = 'salt'

function message(type: string, ...parts: (string | number)[]): Buffer {
  const body = Buffer.concat(parts.map(part => (typeof part === 'number' ? int32(part) : Buffer.from(part))))
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body])
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32BE(value)
  return buffer
}

const TOO_MANY_CONNECTIONS = message('E', 'SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0')
const READY = Buffer.concat([message('R', 0), message('Z', 'I')])

const OPENING: Record<Demand, Buffer> = {
  clear: message('R', 3),
  md5: message('R', 5, MD5_SALT),
  sasl: message('R', 10, 'SCRAM-SHA-256\0\0'),
  nothing: READY,
}

/** Speaks PostgreSQL's protocol on a connection without knowing a password, and reports what its client tells it. */
export function serveFake(socket: Socket, demand: Demand, report: (text: string) => void): void {
  let isStarted = false
  let isChallenged = false
  socket.on('error', () => undefined)
  socket.on('data', data => {
    if (!isStarted) {
      if (data.readInt32BE(4) === SSL_REQUEST) return void socket.write('N')
      isStarted = true
      report(`startup ${data.subarray(8).toString('latin1')}`)
      return void socket.write(OPENING[demand])
    }
    report(data.toString('latin1'))
    if (demand !== 'sasl') return void socket.end(TOO_MANY_CONNECTIONS)
    if (isChallenged) return void socket.write(Buffer.concat([message('R', 12, 'v=AAAA'), READY]))
    isChallenged = true
    const nonce = /r=([^,\0]+)/.exec(data.toString('latin1'))?.[1]
    socket.write(message('R', 11, `r=${nonce}fake,s=c2FsdA==,i=1`))
  })
}
