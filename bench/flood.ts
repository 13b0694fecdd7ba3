import { connect } from 'node:net'
import { constants, setPriority } from 'node:os'

/**
 * `flood.ts URL TOKEN QUEUED`: keeps that many requests queued at the URL, over a thousand pipelined connections,
 * until it receives `end` or its parent ends. Sends `full` once all are sent, and for each message how many are
 * `queued` (sent and not answered: each answer is followed by another request) and how many `responses` came. It is a
 * process of its own, so that it does not share an event loop with the measuring one.
 */
const [url = '', token = '', queued = '0'] = process.argv.slice(2)
const { hostname, port, host, pathname } = new URL(url)
// Addresses of the loopback network only.
if (!hostname.startsWith('127.')) throw new Error(`not a loopback address: ${hostname}`)
// It must not take a core from the measuring process either.
setPriority(constants.priority.PRIORITY_LOW)
const CONNECTIONS = 1_000
const request = `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nX-Auth-Token: ${token}\r\n\r\n`
const perConnection = Math.ceil(Number(queued) / CONNECTIONS)
let filled = 0
let connected = 0
let responses = 0

function open(): void {
  const socket = connect(Number(port), hostname)
  socket.setEncoding('latin1')
  socket.write(request.repeat(perConnection), () => {
    if (++filled === CONNECTIONS) process.send?.({ full: true })
  })
  socket.on('data', text => {
    // A status line that is split between two chunks is not counted: one request fewer in the queue does not matter.
    const count = String(text).split('HTTP/1.1 ').length - 1
    responses += count
    socket.write(request.repeat(count))
  })
  // The server closes connections whose next request it could not read in time: they are opened again.
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
  process.send?.({ queued: connected * perConnection, responses }, () => {
    if (message === 'end') process.exit(0)
  }),
)
// Ends with its parent.
process.on('disconnect', () => process.exit(0))
