import type { IncomingMessage } from 'node:http'

const KIB = 1024
const MAX_BODY = 1024 * KIB
/** How much is read of whoever has shown no valid token. */
const MAX_UNKNOWN_BODY = 64 * KIB
/** How much of a larger body is read and dropped, so that its sender gets to read the response. */
const MAX_DROPPED = 16 * MAX_BODY
/** Bytes of bodies that are held until their turn comes: of all, and of one project or of all who are unknown. */
const MAX_HELD = 256 * 1024 * KIB
const MAX_SHARE = 32 * 1024 * KIB

/** Counts the bytes of bodies that are held until their turn comes. */
export class BodyBudget {
  readonly #held = new Map<string, number>()
  #total = 0

  /** False if the owner, or all together, hold too much. */
  take(owner: string, bytes: number): boolean {
    const held = (this.#held.get(owner) ?? 0) + bytes
    if (held > MAX_SHARE || this.#total + bytes > MAX_HELD) return false
    this.#held.set(owner, held)
    this.#total += bytes
    return true
  }

  give(owner: string, bytes: number): void {
    const held = (this.#held.get(owner) ?? 0) - bytes
    if (held > 0) this.#held.set(owner, held)
    else this.#held.delete(owner)
    this.#total -= bytes
  }
}

/** A body; or why it was not read: larger than 1 MiB, or than 64 KiB of an unknown sender, or too much is held. */
export type Body = { bytes: Buffer; release(): void } | { refused: 'large' | 'unknown' | 'busy' }

const EMPTY: Body = { bytes: Buffer.alloc(0), release: () => {} }
const UNKNOWN = ''

/**
 * Reads a body. Whoever sends more than 64 KiB, or anything while much is held, has to be known: `identify` tells the
 * sender's project, or undefined. `release` is called when its turn has come. Throws if the connection breaks.
 */
export async function readBody(
  request: IncomingMessage,
  budget: BodyBudget,
  identify: () => Promise<string | undefined>,
): Promise<Body> {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers
  if (length === undefined && encoding === undefined) return EMPTY
  const reading = new Reading(budget, identify)
  let size = 0
  try {
    for await (const chunk of request) {
      size += chunk.length
      if (size > MAX_DROPPED) break
      await reading.add(chunk)
    }
  } catch (error) {
    reading.release()
    throw error
  }
  return reading.end()
}

/** A body that is being read. */
class Reading {
  readonly #budget: BodyBudget
  readonly #identify: () => Promise<string | undefined>
  #owner = UNKNOWN
  #chunks: Buffer[] = []
  #held = 0
  #size = 0
  #refused: 'large' | 'unknown' | 'busy' | undefined

  constructor(budget: BodyBudget, identify: () => Promise<string | undefined>) {
    this.#budget = budget
    this.#identify = identify
  }

  async add(chunk: Buffer): Promise<void> {
    this.#size += chunk.length
    if (this.#refused) return
    this.#refused = await this.#refusalOf(chunk.length)
    if (this.#refused) this.release()
    else this.#chunks.push(chunk)
  }

  end(): Body {
    const refused = this.#size > MAX_BODY ? 'large' : this.#refused
    if (refused) return { refused }
    return { bytes: Buffer.concat(this.#chunks), release: () => this.release() }
  }

  /** May be called again. */
  release(): void {
    this.#budget.give(this.#owner, this.#held)
    this.#held = 0
    this.#chunks = []
  }

  /** Takes so many bytes, or says why not. */
  async #refusalOf(bytes: number): Promise<'large' | 'unknown' | 'busy' | undefined> {
    const size = this.#held + bytes
    if (size > MAX_BODY) return 'large'
    if (this.#owner === UNKNOWN && size <= MAX_UNKNOWN_BODY && this.#take(bytes)) return undefined
    if (this.#owner === UNKNOWN) {
      const owner = await this.#identify()
      if (owner === undefined) return size > MAX_UNKNOWN_BODY ? 'unknown' : 'busy'
      this.#budget.give(UNKNOWN, this.#held)
      this.#owner = owner
      if (!this.#budget.take(owner, this.#held)) {
        this.#held = 0
        return 'busy'
      }
    }
    return this.#take(bytes) ? undefined : 'busy'
  }

  #take(bytes: number): boolean {
    if (!this.#budget.take(this.#owner, bytes)) return false
    this.#held += bytes
    return true
  }
}
