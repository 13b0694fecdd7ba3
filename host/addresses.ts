import { randomInt } from 'node:crypto'
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

const ADDRESS_COUNT = 256 * 254 - 1
/** Where these are refused in a row, the search goes on anywhere: a tenant's listeners may be the reason. */
const MOST_IN_ORDER = 20
const MOST_REFUSALS = 120

/**
 * An endpoint that nobody has: an address of the loopback network `network` (its first two numbers, such as 127.20) with
 * the datastore's port. Where that cannot be bound (a listener on all addresses, another system than Linux), it is
 * 127.0.0.1 with another port. Throws if there is none. The search begins at the address with number `first`, and goes
 * on anywhere after many refusals.
 */
export async function chooseEndpoint(network: string, port: number, used: Endpoint[], first = 0): Promise<Endpoint> {
  const usedAddresses = new Set(used.map(({ address }) => address))
  let refused = 0
  for (let step = 0; step < ADDRESS_COUNT && refused < MOST_REFUSALS; step++) {
    const index = refused < MOST_IN_ORDER ? first + step : randomInt(ADDRESS_COUNT)
    const number = (index % ADDRESS_COUNT) + 1
    const address = `${network}.${Math.floor(number / 254)}.${(number % 254) + 1}`
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
  // Another cloud of this machine may have the same network, and its newest database may not listen yet.
  readonly #first = randomInt(ADDRESS_COUNT)
  /** Chosen and not released; a chosen one may not be on record yet. */
  readonly #chosen = new Set<Endpoint>()
  readonly #queue = new SerialQueue()

  constructor(network: string) {
    this.#network = network
  }

  /** One that is neither in `used` nor chosen before and not released. */
  choose(port: number, used: () => Promise<Endpoint[]>): Promise<Endpoint> {
    return this.#queue.run(async () => {
      const endpoint = await chooseEndpoint(this.#network, port, [...(await used()), ...this.#chosen], this.#first)
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
