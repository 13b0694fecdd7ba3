import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { relative } from 'node:path'
import { cwd } from 'node:process'
import type { AnyDriver } from '../lib/datastores/driver.ts'
import type { Clock, Log } from '../lib/kit/clock.ts'
import { messageOf } from '../lib/kit/errors.ts'

/** How long the host daemon may take to let go of the address. A daemon that is away holds nothing. */
const ANSWER_MS = 2_000
const RETRY_MS = 1_000

/** The agent's claim on its database's address: the host daemon holds the address whenever there is none. */
export class AddressClaim {
  readonly #path: string
  readonly #clock: Clock
  readonly #log: Log
  #connection: Socket | undefined
  #isWanted = false

  constructor({ path, clock, log }: { path: string; clock: Clock; log: Log }) {
    this.#path = path
    this.#clock = clock
    this.#log = log
  }

  /** Claims the address. Resolves once it is free for the database, or nobody can be asked. */
  async take(): Promise<void> {
    this.#isWanted = true
    if (this.#connection || !existsSync(this.#path)) return
    try {
      await this.#connect()
    } catch (error) {
      this.#log.warn({ error: messageOf(error) }, 'the address was not claimed')
      this.#takeAgain()
    }
  }

  /** The database is down and stays so. */
  release(): void {
    this.#isWanted = false
    this.#connection?.destroy()
    this.#connection = undefined
  }

  async #connect(): Promise<void> {
    // The socket is beside the folder that the agent works in. The whole path may be too long for a socket's.
    const socket = connect({ path: relative(cwd(), this.#path) })
    try {
      await once(socket, 'data', { signal: AbortSignal.timeout(ANSWER_MS) })
    } catch (error) {
      socket.destroy()
      throw error
    }
    socket.unref()
    this.#connection = socket
    socket.on('error', () => {})
    socket.once('close', () => {
      if (this.#connection !== socket) return
      this.#connection = undefined
      this.#takeAgain()
    })
  }

  /** The daemon was restarted, or is away: it is asked until it answers. */
  #takeAgain(): void {
    void this.#clock.sleep(RETRY_MS).then(() => {
      if (!this.#isWanted || this.#connection) return
      if (existsSync(this.#path)) void this.take()
      else this.#takeAgain()
    })
  }
}

/** The driver with a claim around its server: taken before it is started, released when it was stopped. */
export function withClaim(driver: AnyDriver, claim: AddressClaim): AnyDriver {
  return {
    ...driver,
    async start() {
      await claim.take()
      await driver.start()
    },
    async prepare(input) {
      await claim.take()
      await driver.prepare(input)
    },
    async stop() {
      await driver.stop()
      claim.release()
    },
  }
}
