import { once } from 'node:events'
import { createServer } from 'node:net'

/** Where a database listens. */
export interface Endpoint {
  address: string
  port: number
}

/** Whether something could listen there now. */
export async function isFree({ address, port }: Endpoint): Promise<boolean> {
  return (await bound(address, port)) !== undefined
}

/** The port that a listener got, once it is closed again; undefined if there could be none. */
async function bound(address: string, port: number): Promise<number | undefined> {
  const server = createServer()
  try {
    server.listen({ host: address, port, exclusive: true })
    await once(server, 'listening')
    const at = server.address()
    return typeof at === 'object' && at ? at.port : undefined
  } catch {
    return undefined
  } finally {
    server.close()
  }
}

/**
 * An endpoint that nobody has: an address of the loopback network of its own with the datastore's port; where that cannot
 * be bound (a listener on all addresses, another system than Linux), 127.0.0.1 with another port. Throws if there is none.
 */
export async function chooseEndpoint(network: string, port: number, taken: Endpoint[]): Promise<Endpoint> {
  const used = new Set(taken.map(({ address }) => address))
  let refused = 0
  for (let host = 1; host < 256 * 254 && refused < 20; host++) {
    const address = `${network}.${Math.floor(host / 254)}.${(host % 254) + 1}`
    if (used.has(address)) continue
    if (await isFree({ address, port })) return { address, port }
    refused++
  }
  const shared = { address: '127.0.0.1', port: await bound('127.0.0.1', 0) }
  if (shared.port === undefined) throw new Error('no free address: nothing can listen on the loopback network')
  return { address: shared.address, port: shared.port }
}
