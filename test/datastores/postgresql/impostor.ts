import { createServer } from 'node:net'
import { stdin, stdout } from 'node:process'
import { DEMANDS, serveFake } from '../../kit/postgresql/fake-server.ts'

/**
 * Takes `address:port` as soon as it is free, as the user `uid` if that is given, and prints a line of JSON for
 * everything that clients send. Makes another demand of each client. Ends with its standard input.
 */
function main([address = '', port = '', uid = '']: string[]): void {
  if (uid !== '') {
    process.setgroups?.([])
    process.setgid?.(Number(uid))
    process.setuid?.(Number(uid))
  }
  const print = (line: object) => stdout.write(`${JSON.stringify(line)}\n`)
  let count = 0
  const server = createServer(socket => {
    const demand = DEMANDS[count++ % DEMANDS.length] ?? 'clear'
    serveFake(socket, demand, text => print({ demand, text }))
  })
  const listen = () => server.listen(Number(port), address)
  // The address is the victim's until its server has ended.
  server.on('error', () => setTimeout(listen, 1))
  server.on('listening', () => print({ listening: true, uid: process.getuid?.() }))
  stdin.on('end', () => process.exit())
  stdin.resume()
  listen()
}

main(process.argv.slice(2))
