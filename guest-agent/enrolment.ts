import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exportJWK, exportPKCS8, generateKeyPair, importPKCS8, SignJWT } from 'jose'
import { z } from 'zod'
import type { Clock, Log } from '../lib/kit/clock.ts'
import { reason } from '../lib/kit/errors.ts'
import { readJson, writeAtomically } from '../lib/kit/files.ts'
import type { AgentConfig } from './config.ts'
import { postJson } from './post.ts'

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

/** What the control plane gave in trade. */
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

/** The agent's own key and what it traded; kept in its folder, so that a restart needs no new secret. */
const Kept = z.object({ privateKey: z.string(), credentials: Credentials.optional() })

export interface Enrolment {
  /** Trades at the first call, renews later; tries until it works or `signal` is aborted. */
  renewed(signal: AbortSignal): Promise<Credentials>
  current(): Credentials | undefined
}

const TRY_AGAIN_MS = { first: 100, most: 5_000 }
const ANSWER_MS = 10_000

/** `tlsKey`: the public half of the database server's key, to be certified. */
export async function enrolment(
  dir: string,
  config: AgentConfig,
  clock: Clock,
  log: Log,
  tlsKey: () => Promise<string>,
): Promise<Enrolment> {
  const path = join(dir, 'enrolment.json')
  const stored = await readJson(path)
  let kept = stored === undefined ? { privateKey: await newKey() } : Kept.parse(stored)
  // The key is on the disk before the secret is traded with it: the trade can then be repeated.
  const written = stored === undefined && writeAtomically(path, JSON.stringify(kept))
  await Promise.all([written, tlsKey()])
  const { instance, generation, secret } = config.userData

  const request = async () => {
    const key = await importPKCS8(kept.privateKey, 'EdDSA', { extractable: true })
    if (!('credentials' in kept) || !kept.credentials) {
      const { kty, crv, x } = await exportJWK(key)
      return { instance, generation, secret, publicKey: { kty, crv, x }, tlsKey: await tlsKey() }
    }
    const at = Math.floor(clock.now() / 1000)
    const proof = await new SignJWT({ tls: await tlsKey() })
      .setProtectedHeader({ alg: 'EdDSA' })
      .setIssuedAt(at)
      .setAudience('enrol')
      .setSubject(`guest:${instance}`)
    return { instance, generation, proof: await proof.sign(key) }
  }

  const trade = async () => {
    const answer = await postJson(await endpoint(config), await request(), ANSWER_MS)
    const credentials = Credentials.parse(answer)
    kept = { ...kept, credentials }
    await writeAtomically(path, JSON.stringify(kept))
    return credentials
  }

  async function tried(signal: AbortSignal): Promise<Credentials> {
    for (let wait = TRY_AGAIN_MS.first; ; wait = Math.min(TRY_AGAIN_MS.most, wait * 2)) {
      try {
        return await trade()
      } catch (error) {
        log.warn({ error: reason(error) }, 'not enrolled yet')
        if (signal.aborted) throw error
      }
      await clock.sleep(wait, signal)
    }
  }

  /** Who asks while a trade is on its way gets what it gives. */
  let running: Promise<Credentials> | undefined
  return {
    current: () => ('credentials' in kept ? kept.credentials : undefined),
    renewed(signal) {
      running ??= tried(signal).finally(() => {
        running = undefined
      })
      return running
    },
  }
}

async function newKey(): Promise<string> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  return exportPKCS8(privateKey)
}

async function endpoint({ endpointFile, userData }: AgentConfig): Promise<string> {
  const told = endpointFile && (await readFile(endpointFile, 'utf8').catch(() => undefined))
  return told ? told.trim() : userData.enrolUrl
}
