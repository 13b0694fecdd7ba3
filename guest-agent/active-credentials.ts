import type { EnrolAnswer } from '../lib/contracts/enrol.ts'
import { type Clock, elapsedMs } from '../lib/kit/clock.ts'
import type { SealKeys } from '../lib/kit/crypto/seal.ts'
import type { Enrolment } from './enrolment.ts'

/** What gives new credentials. */
type Renewable = Pick<Enrolment, 'current' | 'renew'>

const RENEW_BEFORE_MS = 600_000
/** How soon after a renewal that did not bring a message's keys another one is tried. */
const RENEW_AGAIN_MS = 10_000

/** The credentials that an agent uses, renewed in time. */
export class ActiveCredentials {
  #current: EnrolAnswer
  readonly #enrolment: Renewable
  readonly #clock: Clock
  readonly #signal: AbortSignal
  /** The keys of this run by their master key: messages of before a renewal may still come. */
  readonly #keys = new Map<string, EnrolAnswer['keys']>()
  #renewedForKeyAt = Number.NEGATIVE_INFINITY
  /** The renewal under way. */
  #renewal: Promise<void> | undefined

  private constructor(credentials: EnrolAnswer, enrolment: Renewable, clock: Clock, signal: AbortSignal) {
    this.#current = credentials
    this.#keys.set(credentials.kid, credentials.keys)
    this.#enrolment = enrolment
    this.#clock = clock
    this.#signal = signal
  }

  /** The stored credentials, or those of a first enrolment, which is retried until `signal` is aborted. */
  static async obtain(enrolment: Renewable, clock: Clock, signal: AbortSignal): Promise<ActiveCredentials> {
    const credentials = enrolment.current() ?? (await enrolment.renew(signal))
    return new ActiveCredentials(credentials, enrolment, clock, signal)
  }

  get current(): EnrolAnswer {
    return this.#current
  }

  /** Credentials that are valid for a while yet. */
  async fresh(): Promise<EnrolAnswer> {
    if (this.#current.expires - this.#clock.now() < RENEW_BEFORE_MS) await this.#renew()
    return this.#current
  }

  /**
   * The keys that messages are sealed with. A message of another master key says that the current one has changed: the
   * agent renews at once, and opens it then if it could not before. The same text gives the same bytes, for the sealer
   * prepares each key once.
   */
  sealKeys(): SealKeys {
    const decoded = new Map<string, Uint8Array>()
    return {
      kid: async () => this.#current.kid,
      key: async (kid, _subject, _generation, direction) => {
        const text = (await this.#keysOf(kid))[direction]
        const bytes = decoded.get(text) ?? new Uint8Array(Buffer.from(text, 'base64url'))
        decoded.set(text, bytes)
        return bytes
      },
    }
  }

  async #keysOf(kid: string): Promise<EnrolAnswer['keys']> {
    const renewal = kid === this.#current.kid ? undefined : this.#renewForKey()
    // Nobody waits for it: a failure ends with the agent only.
    if (this.#keys.has(kid)) void renewal?.catch(() => undefined)
    else await renewal
    const keys = this.#keys.get(kid)
    if (!keys) throw new Error('sealed with an unknown key')
    return keys
  }

  /** Whoever meets an unknown key meanwhile waits for the same renewal. */
  async #renewForKey(): Promise<void> {
    const now = this.#clock.now()
    if (!this.#renewal && elapsedMs(now, this.#renewedForKeyAt) < RENEW_AGAIN_MS) return
    this.#renewedForKeyAt = now
    await this.#renew()
  }

  #renew(): Promise<void> {
    this.#renewal ??= this.#enrolment
      .renew(this.#signal)
      .then(credentials => {
        this.#current = credentials
        this.#keys.set(credentials.kid, credentials.keys)
      })
      .finally(() => {
        this.#renewal = undefined
      })
    return this.#renewal
  }
}
