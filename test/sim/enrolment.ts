import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { ActiveCredentials } from '../../guest-agent/active-credentials.ts'
import { enrol } from '../../lib/conductor/enrol.ts'
import type { EnrolAnswer } from '../../lib/contracts/enrol.ts'
import type { SealKeys } from '../../lib/kit/crypto/seal.ts'
import type { Platform } from '../../lib/platform/platform.ts'

/** What an agent has on its disk: its key and its credentials. */
export class SimEnrolment {
  readonly #platform: () => Platform
  readonly #userData: { instance: string; generation: number; secret: string }
  readonly #keyPair = generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  #credentials: EnrolAnswer | undefined

  constructor(platform: () => Platform, userData: string) {
    this.#platform = platform
    this.#userData = JSON.parse(userData)
  }

  current(): EnrolAnswer | undefined {
    return this.#credentials
  }

  async renew(): Promise<EnrolAnswer> {
    const { instance, generation, secret } = this.#userData
    const { publicKey, privateKey } = await this.#keyPair
    const { x = '' } = await exportJWK(publicKey)
    const proof = new SignJWT()
      .setProtectedHeader({ alg: 'EdDSA' })
      .setAudience('enrol')
      .setSubject(`guest:${instance}`)
    proof.setIssuedAt(Math.floor(this.#platform().clock.now() / 1_000))
    const request = this.#credentials
      ? { instance, generation, proof: await proof.sign(privateKey) }
      : { instance, generation, secret, publicKey: { kty: 'OKP' as const, crv: 'Ed25519' as const, x } }
    this.#credentials = await enrol(this.#platform(), request)
    return this.#credentials
  }

  /** The keys of an agent that starts now: it enrols when it first needs them. */
  sealKeys(): SealKeys {
    let active: Promise<ActiveCredentials> | undefined
    const keys = async () => {
      active ??= ActiveCredentials.obtain(this, this.#platform().clock, new AbortController().signal)
      return (await active).sealKeys()
    }
    return {
      kid: async () => (await keys()).kid(),
      key: async (...use) => (await keys()).key(...use),
    }
  }
}
