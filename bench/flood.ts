import { connect } from 'node:net'
import { constants, setPriority } from 'node:os'

/**
 * `flood.ts URL TOKEN QUEUED`: keeps that many requests queued at the URL, over a thousand pipelined connections, until a
 * message `end` comes or its parent ends; tells `full` once they are all sent, and at each message how many are `queued`
 * (sent and not answered: each answer is followed by another request) and how many were `answered`. A process of its own, so that it does not share a loop with who measures.
 */
const [url = '', token = '', most = '0'] = process.argv.slice(2)
const { hostname, port, host, pathname } = new URL(url)
// Addresses of the loopback network only.
if (!hostname.startsWith('127.')) throw new Error(`not a loopback address: ${hostname}`)
// Nor takes a core from who measures.
setPriority(constants.priority.PRIORITY_LOW)
const CONNECTIONS = 1_000
const request = `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nX-Auth-Token: ${token}\r\n\r\n`
const each = Math.ceil(Number(most) / CONNECTIONS)
let sent = 0
let connected = 0
let answered = 0

function open(): void {
  const socket = connect(Number(port), hostname)
  socket.setEncoding('latin1')
  socket.write(request.repeat(each), () => {
    if (++sent === CONNECTIONS) process.send?.({ full: true })
  })
  socket.on('data', text => {
    // A line cut in two by the network is one request fewer in the queue: of no weight.
    const count = String(text).split('HTTP/1.1 ').length - 1
    answered += count
    socket.write(request.repeat(count))
  })
  // The server ends a connection whose next request it could not read in time; a flood goes on while there is a server.
  socket.on('error', () => {})
  socket.on('connect', () => {
    connected++
    socket.on('close', () => {
      connected--
      open()
    })
  })
}
for (let index = 0; index < CONNECTIONS; index++) open()
process.on('message', message =>
  process.send?.({ queued: connected * each, answered }, () => {
    if (message === 'end') process.exit(0)
  }),
)
// Nobody is left behind.
process.on('disconnect', () => process.exit(0))
