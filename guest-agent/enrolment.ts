import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exportJWK, exportPKCS8, generateKeyPair, importPKCS8, SignJWT } from 'jose'
import { z } from 'zod'
import { guestSubject } from '../lib/contracts/conductor.ts'
import { EnrolAnswer, type EnrolRequest, enrolment } from '../lib/contracts/enrol.ts'
import { backOffMs } from '../lib/kit/async/back-off.ts'
import type { Clock, Log } from '../lib/kit/clock.ts'
import { ignoreFullDisk, messageOf } from '../lib/kit/errors.ts'
import { readJson, replaceFile } from '../lib/kit/os/files.ts'
import { client } from '../lib/kit/rpc/contract.ts'
import type { AgentConfig } from './config.ts'
import { postJson } from './post-json.ts'

/** The agent's private key and its credentials: stored in its folder, so that a restart needs no new secret. */
const PrivateState = z.object({ privateKey: z.string(), credentials: EnrolAnswer.optional() })
type PrivateState = z.infer<typeof PrivateState>

interface EnrolmentOptions {
  /** The agent's folder. */
  dir: string
  config: AgentConfig
  clock: Clock
  log: Log
  /** The public half of the database server's key, to be certified; undefined for a server without TLS. */
  tlsKey(): Promise<string | undefined>
}

const RETRY = { firstMs: 100, maxMs: 5_000 }
const ANSWER_MS = 10_000

/** The agent's trade of its one-time secret for credentials, and their renewal. */
export class Enrolment {
  readonly #options: EnrolmentOptions
  readonly #path: string
  #state: PrivateState
  /** A renewal in progress: whoever asks meanwhile gets its result. */
  #renewal: Promise<EnrolAnswer> | undefined

  private constructor(options: EnrolmentOptions, path: string, state: PrivateState) {
    this.#options = options
    this.#path = path
    this.#state = state
  }

  static async open(options: EnrolmentOptions): Promise<Enrolment> {
    const path = join(options.dir, 'enrolment.json')
    const stored = await readJson(path)
    const state = stored === undefined ? { privateKey: await newPrivateKey() } : PrivateState.parse(stored)
    // The key is on the disk before the secret is traded with it, so that the trade can be repeated.
    const written = stored === undefined && replaceFile(path, JSON.stringify(state))
    await Promise.all([written, options.tlsKey()])
    return new Enrolment(options, path, state)
  }

  current(): EnrolAnswer | undefined {
    return this.#state.credentials
  }

  /**
   * Enrols at the first call, renews later. Tries until it works, or throws the last error once `signal` is aborted.
   */
  renew(signal: AbortSignal): Promise<EnrolAnswer> {
    this.#renewal ??= this.#renewWithRetry(signal).finally(() => {
      this.#renewal = undefined
    })
    return this.#renewal
  }

  async #renewWithRetry(signal: AbortSignal): Promise<EnrolAnswer> {
    const { clock, log } = this.#options
    for (let failures = 1; ; failures++) {
      try {
        return await this.#trade()
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'enrolment failed')
        if (signal.aborted) throw error
      }
      await clock.sleep(backOffMs(failures, RETRY), signal)
    }
  }

  async #trade(): Promise<EnrolAnswer> {
    const { enrol } = controlPlane(this.#options.config)
    const isRenewal = this.#state.credentials !== undefined
    const credentials = await enrol(await this.#request())
    this.#state = { ...this.#state, credentials }
    const written = replaceFile(this.#path, JSON.stringify(this.#state))
    // After a restart those of before are good for the proof.
    await (isRenewal ? written.catch(ignoreFullDisk) : written)
    return credentials
  }

  /** The secret and the agent's new key at first; a proof by that key later. */
  async #request(): Promise<EnrolRequest> {
    const { config, clock, tlsKey } = this.#options
    const { instance, generation, secret } = config.userData
    const serverKey = await tlsKey()
    const key = await importPKCS8(this.#state.privateKey, 'EdDSA', { extractable: true })
    if (!this.#state.credentials) {
      const { x = '' } = await exportJWK(key)
      return { instance, generation, secret, publicKey: { kty: 'OKP', crv: 'Ed25519', x }, tlsKey: serverKey }
    }
    const proof = new SignJWT(serverKey === undefined ? {} : { tls: serverKey })
      .setProtectedHeader({ alg: 'EdDSA' })
      .setIssuedAt(Math.floor(clock.now() / 1000))
      .setAudience('enrol')
      .setSubject(guestSubject(instance))
    return { instance, generation, proof: await proof.sign(key) }
  }
}

async function newPrivateKey(): Promise<string> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  return exportPKCS8(privateKey)
}

/** The control plane over HTTP. Its address is looked up for each call, as it may change. */
function controlPlane(config: AgentConfig) {
  const unsupported = () => Promise.reject(new Error('enrolment takes queries only'))
  return client(enrolment, {
    query: async (_method, input) => postJson(await enrolmentUrl(config), input, ANSWER_MS),
    cast: unsupported,
    command: unsupported,
  })
}

async function enrolmentUrl({ endpointFile, userData }: AgentConfig): Promise<string> {
  const current = endpointFile && (await readFile(endpointFile, 'utf8').catch(() => undefined))
  return current ? current.trim() : userData.enrolUrl
}
