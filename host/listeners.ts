import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { codeOf } from '../lib/kit/errors.ts'

/** A TCP socket of this machine that accepts connections. `address`: of IPv4, or `*` for all of them. */
export interface Listener {
  address: string
  port: number
  uid: number
}

const LISTEN = '0A'

/** The sockets that accept connections to IPv4 addresses, whoever has them (Linux only, else none). */
export async function tcpListeners(folder = '/proc/net'): Promise<Listener[]> {
  const [four = [], six = []] = await Promise.all(['tcp', 'tcp6'].map(name => readTable(`${folder}/${name}`)))
  return [...four, ...six]
}

async function readTable(path: string): Promise<Listener[]> {
  const listeners: Listener[] = []
  try {
    const file = createReadStream(path, 'latin1')
    let isHeader = true
    for await (const line of createInterface({ input: file })) {
      const [, local = '', , state, , , , uid] = line.trim().split(/ +/)
      // The kernel lists sockets that listen first, and there may be many connections.
      if (!isHeader && state !== LISTEN) break
      const [address = '', port = ''] = local.split(':')
      const text = isHeader ? undefined : addressOf(address)
      if (text !== undefined) listeners.push({ address: text, port: Number.parseInt(port, 16), uid: Number(uid) })
      isHeader = false
    }
    file.destroy()
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
  return listeners
}

/** An IPv4 address from its bytes in the order of the machine, in hexadecimal; undefined for IPv6's own addresses. */
function addressOf(hex: string): string | undefined {
  if (/^0+$/.test(hex)) return '*'
  // An IPv4 address as IPv6 writes it: ::ffff:1.2.3.4.
  const four = hex.length === 8 ? hex : /^0{16}FFFF0000(.{8})$/.exec(hex)?.[1]
  if (four === undefined) return undefined
  if (four === '00000000') return '*'
  return [...Buffer.from(four, 'hex')].reverse().join('.')
}
