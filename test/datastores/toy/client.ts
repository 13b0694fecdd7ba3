import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'

/** Sends one line to a toy's server; resolves to its answer. Throws if the server cannot be reached. */
export async function askToy({ address, port }: { address: string; port: number }, line: string): Promise<unknown> {
  const socket = connect({ host: address, port })
  try {
    await once(socket, 'connect')
    socket.write(`${line}\n`)
    const [text] = await once(createInterface(socket), 'line')
    return JSON.parse(String(text))
  } finally {
    socket.destroy()
  }
}
