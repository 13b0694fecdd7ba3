import { once } from 'node:events'
import { chmod, chown } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { SerialQueue } from '../lib/kit/async/serial.ts'
import { type Clock, elapsedMs } from '../lib/kit/clock.ts'
import { messageOf } from '../lib/kit/errors.ts'
import { removeAll } from '../lib/kit/os/files.ts'
import { withShortPath } from '../lib/kit/os/short-path.ts'
import type { Endpoint } from './addresses.ts'
import { endImpostors, type ImpostorParts } from './end-impostors.ts'
import { addressSocket, type ServerState } from './state.ts'

/** An agent has one connection, and a second one for a moment when it starts again. */
const MAX_CLAIMS = 4
/** How long an agent has for its first claim: it starts, or notices that another daemon has taken over. */
const FIRST_CLAIM_MS = 3_000

/**
 * Holds the addresses of databases that are down, so that no other program of the machine can answer there. An agent
 * claims its database's address by a connection to a socket that only its uid can open, before each start; while the
 * connection is open, the address is the database's. It is held again as soon as the connection ends.
 */
export class AddressKeeper {
  readonly #parts: ImpostorParts
  readonly #addresses = new Map<string, ServerAddress>()

  constructor(parts: ImpostorParts) {
    this.#parts = parts
  }

  /** Keeps a server's address from now on. Where that is not possible, the server goes without, and the log says so. */
  async keep(server: ServerState): Promise<void> {
    if (this.#addresses.has(server.name)) return
    const address = new ServerAddress(server, addressSocket(this.#parts.config.dataDir, server.name), this.#parts.clock)
    try {
      await address.open()
      this.#addresses.set(server.name, address)
    } catch (error) {
      this.#parts.log.warn({ server: server.name, error: messageOf(error) }, 'the address is not held')
    }
  }

  /** Holds what nobody has claimed, and ends whoever answers at the address of another. */
  async look(): Promise<void> {
    const addresses = [...this.#addresses.values()]
    await Promise.all(addresses.map(address => address.update()))
    const servers = addresses.map(({ server }) => server)
    await endImpostors(this.#parts, servers).catch(error =>
      this.#parts.log.error({ error: messageOf(error) }, 'impostors were not looked for'),
    )
  }

  /** Gives a server's address up. */
  async release(server: string): Promise<void> {
    const address = this.#addresses.get(server)
    this.#addresses.delete(server)
    await address?.close()
    await removeAll(addressSocket(this.#parts.config.dataDir, server))
  }

  /** Gives all up: another daemon takes over, or all has ended. */
  async close(): Promise<void> {
    await Promise.all([...this.#addresses.values()].map(address => address.close()))
    this.#addresses.clear()
  }
}

/** The address of one server: claimed by its agent, or held. */
class ServerAddress {
  readonly server: ServerState
  readonly #path: string
  readonly #claims = new Set<Socket>()
  readonly #queue = new SerialQueue()
  readonly #door: Server
  readonly #clock: Clock
  readonly #opened: number
  #holder: Server | undefined
  #wasClaimed = false
  #closed = false

  constructor(server: ServerState, path: string, clock: Clock) {
    this.server = server
    this.#clock = clock
    this.#opened = clock.now()
    this.#path = path
    this.#door = createServer(claim => this.#admit(claim))
  }

  /** Opens the socket for claims, to the server's uid. */
  async open(): Promise<void> {
    const { uid } = this.server
    await removeAll(this.#path)
    await withShortPath(dirname(this.#path), async folder => {
      this.#door.listen(join(folder, basename(this.#path)))
      await once(this.#door, 'listening')
    })
    this.#door.on('error', () => {})
    // The folder is the daemon's own: nobody can have put a link there.
    if (uid !== undefined) await chown(this.#path, 0, uid)
    await chmod(this.#path, uid === undefined ? 0o600 : 0o660)
  }

  /** Holds the address if nobody has it, and lets go of it if its agent claims it. */
  update(): Promise<void> {
    return this.#queue.run(async () => {
      const mayBeClaimed = !this.#wasClaimed && elapsedMs(this.#clock.now(), this.#opened) < FIRST_CLAIM_MS
      const isClaimed = this.#closed || this.#claims.size > 0 || mayBeClaimed
      if (isClaimed && this.#holder) await end(this.#holder)
      if (isClaimed) this.#holder = undefined
      else this.#holder ??= await hold(this.server)
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const claim of this.#claims) claim.destroy()
    await Promise.all([this.#door.listening ? end(this.#door) : undefined, this.update()])
  }

  #admit(claim: Socket): void {
    claim.on('error', () => {})
    if (this.#closed || this.#claims.size >= MAX_CLAIMS) return void claim.destroy()
    this.#claims.add(claim)
    this.#wasClaimed = true
    claim.resume()
    claim.once('close', () => {
      this.#claims.delete(claim)
      void this.update()
    })
    void this.update().then(() => claim.write('claimed\n'))
  }
}

/** Listens there, and refuses whoever connects; undefined if somebody else listens. */
async function hold({ address, port }: Endpoint): Promise<Server | undefined> {
  // A reset, so that no connection lingers at the address when the database wants it.
  const server = createServer(client => client.on('error', () => {}).resetAndDestroy())
  try {
    server.listen({ host: address, port, exclusive: true })
    await once(server, 'listening')
    server.on('error', () => {})
    return server
  } catch {
    return undefined
  }
}

async function end(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  await closed
}
