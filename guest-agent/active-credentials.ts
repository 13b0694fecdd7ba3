import type { EnrolAnswer } from '../lib/contracts/enrol.ts'
import type { Clock } from '../lib/kit/clock.ts'
import type { SealKeys } from '../lib/kit/crypto/seal.ts'
import type { Enrolment } from './enrolment.ts'

const RENEW_BEFORE_MS = 600_000

/** The credentials that an agent uses, renewed in time. */
export class ActiveCredentials {
  #current: EnrolAnswer
  readonly #enrolment: Enrolment
  readonly #clock: Clock
  readonly #signal: AbortSignal

  private constructor(credentials: EnrolAnswer, enrolment: Enrolment, clock: Clock, signal: AbortSignal) {
    this.#current = credentials
    this.#enrolment = enrolment
    this.#clock = clock
    this.#signal = signal
  }

  /** The stored credentials, or those of a first enrolment, which is retried until `signal` is aborted. */
  static async obtain(enrolment: Enrolment, clock: Clock, signal: AbortSignal): Promise<ActiveCredentials> {
    const credentials = enrolment.current() ?? (await enrolment.renew(signal))
    return new ActiveCredentials(credentials, enrolment, clock, signal)
  }

  get current(): EnrolAnswer {
    return this.#current
  }

  /** Credentials that are valid for a while yet. */
  async fresh(): Promise<EnrolAnswer> {
    if (this.#current.expires - this.#clock.now() < RENEW_BEFORE_MS) {
      this.#current = await this.#enrolment.renew(this.#signal)
    }
    return this.#current
  }

  /**
   * The keys that messages are sealed with. The same text gives the same bytes, for the sealer prepares each key once.
   */
  sealKeys(): SealKeys {
    const decoded = new Map<string, Uint8Array>()
    return {
      kid: async () => this.#current.kid,
      key: async (_kid, _subject, _generation, direction) => {
        const text = this.#current.keys[direction]
        const bytes = decoded.get(text) ?? new Uint8Array(Buffer.from(text, 'base64url'))
        decoded.set(text, bytes)
        return bytes
      },
    }
  }
}
