import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exportJWK, exportPKCS8, generateKeyPair, importPKCS8, SignJWT } from 'jose'
import { z } from 'zod'
import { guestSubject } from '../lib/contracts/conductor.ts'
import { backOffMs } from '../lib/kit/async/back-off.ts'
import type { Clock, Log } from '../lib/kit/clock.ts'
import { messageOf } from '../lib/kit/errors.ts'
import { readJson, replaceFile } from '../lib/kit/os/files.ts'
import type { AgentConfig } from './config.ts'
import { postJson } from './post-json.ts'

const SocketAccess = z.object({ kind: z.literal('socket'), address: z.string(), token: z.string() })

/** Addresses of the topics, and credentials for these alone. */
const SqsAccess = z.object({
  kind: z.literal('sqs'),
  region: z.string(),
  endpoint: z.string().optional(),
  urls: z.record(z.string(), z.string()),
  credentials: z.object({ accessKeyId: z.string(), secretAccessKey: z.string(), sessionToken: z.string() }),
})

const RabbitmqAccess = z.object({
  kind: z.literal('rabbitmq'),
  url: z.string(),
  username: z.string(),
  password: z.string(),
  ca: z.string().optional(),
})

/** What the control plane issues for the secret. */
const Credentials = z.object({
  topic: z.string(),
  conductor: z.string(),
  access: z.discriminatedUnion('kind', [SocketAccess, SqsAccess, RabbitmqAccess]),
  /** Milliseconds since the epoch, for `access`. */
  expires: z.number(),
  kid: z.string(),
  keys: z.object({ down: z.string(), up: z.string() }),
  issued: z.int(),
  /** A certificate for the database server. */
  tls: z.object({ certificate: z.string(), ca: z.string(), expires: z.number() }).optional(),
})
export type Credentials = z.infer<typeof Credentials>

/** The agent's private key and its credentials: stored in its folder, so that a restart needs no new secret. */
const PrivateState = z.object({ privateKey: z.string(), credentials: Credentials.optional() })
type PrivateState = z.infer<typeof PrivateState>

interface EnrolmentOptions {
  /** The agent's folder. */
  dir: string
  config: AgentConfig
  clock: Clock
  log: Log
  /** The public half of the database server's key, to be certified. */
  tlsKey(): Promise<string>
}

const RETRY = { firstMs: 100, maxMs: 5_000 }
const ANSWER_MS = 10_000

/** The agent's trade of its one-time secret for credentials, and their renewal. */
export class Enrolment {
  readonly #options: EnrolmentOptions
  readonly #path: string
  #state: PrivateState
  /** A renewal in progress: whoever asks meanwhile gets its result. */
  #renewal: Promise<Credentials> | undefined

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

  current(): Credentials | undefined {
    return this.#state.credentials
  }

  /**
   * Enrols at the first call, renews later. Tries until it works, or throws the last error once `signal` is aborted.
   */
  renew(signal: AbortSignal): Promise<Credentials> {
    this.#renewal ??= this.#renewWithRetry(signal).finally(() => {
      this.#renewal = undefined
    })
    return this.#renewal
  }

  async #renewWithRetry(signal: AbortSignal): Promise<Credentials> {
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

  async #trade(): Promise<Credentials> {
    const answer = await postJson(await enrolmentUrl(this.#options.config), await this.#request(), ANSWER_MS)
    const credentials = Credentials.parse(answer)
    this.#state = { ...this.#state, credentials }
    await replaceFile(this.#path, JSON.stringify(this.#state))
    return credentials
  }

  /** The secret and the agent's new key at first; a proof by that key later. */
  async #request() {
    const { config, clock, tlsKey } = this.#options
    const { instance, generation, secret } = config.userData
    const key = await importPKCS8(this.#state.privateKey, 'EdDSA', { extractable: true })
    if (!this.#state.credentials) {
      const { kty, crv, x } = await exportJWK(key)
      return { instance, generation, secret, publicKey: { kty, crv, x }, tlsKey: await tlsKey() }
    }
    const proof = new SignJWT({ tls: await tlsKey() })
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

async function enrolmentUrl({ endpointFile, userData }: AgentConfig): Promise<string> {
  const current = endpointFile && (await readFile(endpointFile, 'utf8').catch(() => undefined))
  return current ? current.trim() : userData.enrolUrl
}
