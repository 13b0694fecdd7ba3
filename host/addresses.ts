import { once } from 'node:events'
import { createServer } from 'node:net'
import { SerialQueue } from '../lib/kit/async/serial.ts'

/** Where a database listens. */
export interface Endpoint {
  address: string
  port: number
}

/** Whether something could listen there now. */
export async function isFree({ address, port }: Endpoint): Promise<boolean> {
  return (await bindOnce(address, port)) !== undefined
}

/** Listens and closes again: the port that the listener got, or undefined if it could not listen. */
async function bindOnce(address: string, port: number): Promise<number | undefined> {
  const server = createServer()
  try {
    server.listen({ host: address, port, exclusive: true })
    await once(server, 'listening')
    const bound = server.address()
    return typeof bound === 'object' && bound ? bound.port : undefined
  } catch {
    return undefined
  } finally {
    server.close()
  }
}

/**
 * An endpoint that nobody has: an address of the loopback network of its own with the datastore's port; where that
 * cannot be bound (a listener on all addresses, another system than Linux), 127.0.0.1 with another port. Throws if
 * there is none.
 */
export async function chooseEndpoint(network: string, port: number, used: Endpoint[]): Promise<Endpoint> {
  const usedAddresses = new Set(used.map(({ address }) => address))
  let refused = 0
  for (let host = 1; host < 256 * 254 && refused < 20; host++) {
    const address = `${network}.${Math.floor(host / 254)}.${(host % 254) + 1}`
    if (usedAddresses.has(address)) continue
    if (await isFree({ address, port })) return { address, port }
    refused++
  }
  // The port of a stopped instance looks free, but is still its own.
  for (let tries = 0; tries < 100; tries++) {
    const free = await bindOnce('127.0.0.1', 0)
    if (free === undefined) break
    if (!used.some(endpoint => endpoint.port === free)) return { address: '127.0.0.1', port: free }
  }
  throw new Error('no free address: nothing can listen on the loopback network')
}

/** Gives every instance an endpoint of its own: one at a time, so that two creates do not choose the same. */
export class Endpoints {
  readonly #network: string
  /** Chosen and not released; a chosen one may not be on record yet. */
  readonly #chosen = new Set<Endpoint>()
  readonly #queue = new SerialQueue()

  constructor(network: string) {
    this.#network = network
  }

  /** One that is neither in `used` nor chosen before and not released. */
  choose(port: number, used: () => Promise<Endpoint[]>): Promise<Endpoint> {
    return this.#queue.run(async () => {
      const endpoint = await chooseEndpoint(this.#network, port, [...(await used()), ...this.#chosen])
      this.#chosen.add(endpoint)
      return endpoint
    })
  }

  release({ address, port }: Endpoint): void {
    for (const endpoint of this.#chosen) {
      if (endpoint.address === address && endpoint.port === port) this.#chosen.delete(endpoint)
    }
  }
}
