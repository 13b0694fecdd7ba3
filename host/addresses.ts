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
  // A port that an instance has while it is stopped looks free.
  for (let tries = 0; tries < 100; tries++) {
    const free = await bound('127.0.0.1', 0)
    if (free === undefined) break
    if (!taken.some(one => one.port === free)) return { address: '127.0.0.1', port: free }
  }
  throw new Error('no free address: nothing can listen on the loopback network')
}

/** Gives every instance an endpoint of its own: one at a time, so that two creates do not choose the same. */
export class Endpoints {
  readonly #network: string
  readonly #chosen = new Set<Endpoint>()
  #choosing: Promise<unknown> = Promise.resolve()

  constructor(network: string) {
    this.#network = network
  }

  /** One that is neither in `used` nor chosen before and not released. */
  choose(port: number, used: () => Promise<Endpoint[]>): Promise<Endpoint> {
    const choice = this.#choosing.then(async () => {
      const endpoint = await chooseEndpoint(this.#network, port, [...(await used()), ...this.#chosen])
      this.#chosen.add(endpoint)
      return endpoint
    })
    this.#choosing = choice.catch(() => undefined)
    return choice
  }

  release({ address, port }: Endpoint): void {
    for (const one of this.#chosen) if (one.address === address && one.port === port) this.#chosen.delete(one)
  }
}
