import { connect } from 'node:net'

/**
 * `flood.ts URL TOKEN QUEUED`: keeps that many requests queued at the URL, over a thousand pipelined connections, until a
 * message comes or its parent ends; tells `full` once they are all sent, and at the end how many were `answered`. A process of its own, so that it does not share a loop with who measures.
 */
const [url = '', token = '', queued = '0'] = process.argv.slice(2)
const { hostname, port, host, pathname } = new URL(url)
// Addresses of the loopback network only.
if (!hostname.startsWith('127.')) throw new Error(`not a loopback address: ${hostname}`)
const CONNECTIONS = 1_000
const request = `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nX-Auth-Token: ${token}\r\n\r\n`
const each = Math.ceil(Number(queued) / CONNECTIONS)
let answered = 0

function open(): void {
  const socket = connect(Number(port), hostname)
  socket.setEncoding('latin1')
  socket.write(request.repeat(each))
  socket.on('data', text => {
    // A line cut in two by the network is one request fewer in the queue: of no weight.
    const count = String(text).split('HTTP/1.1 ').length - 1
    answered += count
    socket.write(request.repeat(count))
  })
  // The server ends a connection whose next request it could not read in time; a flood goes on while there is a server.
  socket.on('error', () => {})
  socket.on('connect', () => socket.on('close', open))
}
for (let index = 0; index < CONNECTIONS; index++) open()
process.send?.({ full: true })
process.on('message', () => process.send?.({ answered }, () => process.exit(0)))
// Nobody is left behind.
process.on('disconnect', () => process.exit(0))
