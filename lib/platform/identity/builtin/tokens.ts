import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import type { Clock, Random } from '../../../kit/clock.ts'
import type { Claims, Tokens } from '../../../ports/accounts.ts'
import type { MasterKey, Secrets } from '../../../ports/secrets.ts'
import type { Store } from '../../../ports/store.ts'
import { userRecord } from './accounts.ts'
import { openJws, readKid, signJws } from './jws.ts'
import { ALL_ACCOUNTS, credentialIds, revocations } from './records.ts'

const INFO = 'coffer/identity/token'
const MAX_CHARACTERS = 8 * 1024
/** How many verified tokens are cached: their claims cannot change. Revocation is checked each time. */
const MAX_CACHED = 1_000

/** Short names: a token comes with each request, and API Gateway accepts 10 KB of headers. */
const Payload = z.object({
  jti: z.string(),
  chn: z.string().optional(),
  sub: z.string(),
  nam: z.string(),
  prj: z.object({ id: z.string(), name: z.string() }).optional(),
  rol: z.array(z.string()),
  met: z.array(z.string()),
  app: z.object({ id: z.string(), name: z.string() }).optional(),
  /** Seconds since the epoch, as JWT has it. */
  iat: z.int(),
  exp: z.int(),
  epo: z.int(),
})
type Payload = z.infer<typeof Payload>

interface TokenParts {
  store: Store
  secrets: Secrets
  clock: Clock
  random: Random
  /** Milliseconds. */
  lifetime: number
}

/** Tokens are JWTs (HS256) with a key derived from a master key; what ends them early is in the store. */
export function signedTokens({ store, secrets, clock, random, lifetime }: TokenParts): Tokens {
  const keys = tokenKeys(secrets)
  const verified = cached(MAX_CACHED, async token => {
    const payload = await openJws(token, keys.byId)
    const parsed = Payload.safeParse(payload)
    return parsed.success ? { claims: toClaims(parsed.data), kid: readKid(token) } : undefined
  })
  return {
    async issue({ expires, ...content }) {
      const issued = wholeSeconds(clock.now())
      const end = wholeSeconds(Math.min(issued + lifetime, expires ?? Number.POSITIVE_INFINITY))
      const id = Buffer.from(random.bytes(16)).toString('base64url')
      const claims: Claims = { ...content, id, issued, expires: end }
      const { kid, key } = await keys.current()
      const token = signJws(toPayload(claims), kid, key)
      return { token, claims }
    },
    async read(token) {
      const { claims, kid = '' } = (token.length > MAX_CHARACTERS ? undefined : await verified(token)) ?? {}
      if (!claims || claims.expires <= clock.now()) return undefined
      // Its master key may have been removed since it was verified.
      if (!(await keys.byId(kid))) return undefined
      return (await isStillValid(claims, store)) ? claims : undefined
    },
    async revoke({ id, expires }, also = []) {
      await store.transact([{ op: 'put', key: revocations.key(ALL_ACCOUNTS, id), body: {}, expires }, ...also])
    },
  }
}

/** `work` with a cache of its last `max` results; undefined is not cached. */
function cached<T>(max: number, work: (text: string) => Promise<T | undefined>) {
  const results = new Map<string, T>()
  return async (text: string): Promise<T | undefined> => {
    const result = results.get(text) ?? (await work(text))
    if (result === undefined || results.has(text)) return result
    results.set(text, result)
    const [oldest] = results.keys()
    if (results.size > max && oldest !== undefined) results.delete(oldest)
    return result
  }
}

/** Whether the token was not ended early. Read from the store each time, so that a revocation holds at once. */
async function isStillValid({ id, user, epoch, credential }: Claims, store: Store): Promise<boolean> {
  const [revoked, record, pointer] = await Promise.all([
    revocations.get(store, ALL_ACCOUNTS, id),
    userRecord(store, user.id),
    credential && credentialIds.get(store, ALL_ACCOUNTS, credential.id),
  ])
  if (revoked || (credential && !pointer)) return false
  return record?.body.enabled === true && record.body.epoch === epoch
}

interface TokenKeys {
  current(): Promise<{ kid: string; key: KeyObject }>
  byId(kid: string): Promise<KeyObject | undefined>
}

/** Caches the derived keys: there are as few as master keys. */
function tokenKeys(secrets: Secrets): TokenKeys {
  const cache = new Map<string, KeyObject>()
  const derived = ({ id, bytes }: MasterKey) => {
    const key = cache.get(id) ?? derive(bytes)
    cache.set(id, key)
    return key
  }
  return {
    async current() {
      const master = await secrets.current()
      return { kid: master.id, key: derived(master) }
    },
    async byId(kid) {
      const master = await secrets.byId(kid)
      return master && derived(master)
    },
  }
}

function derive(master: Uint8Array): KeyObject {
  return createSecretKey(new Uint8Array(hkdfSync('sha256', master, '', INFO, 32)))
}

const wholeSeconds = (ms: number) => Math.floor(ms / 1000) * 1000

function toPayload({ id, chain, user, project, roles, methods, credential, issued, expires, epoch }: Claims): Payload {
  return {
    jti: id,
    chn: chain,
    sub: user.id,
    nam: user.name,
    prj: project && { id: project.id, name: project.name },
    rol: roles,
    met: methods,
    app: credential && { id: credential.id, name: credential.name },
    iat: issued / 1000,
    exp: expires / 1000,
    epo: epoch,
  }
}

function toClaims({ jti, chn, sub, nam, prj, rol, met, app, iat, exp, epo }: Payload): Claims {
  return {
    id: jti,
    ...(chn !== undefined && { chain: chn }),
    user: { id: sub, name: nam },
    ...(prj && { project: prj }),
    roles: rol,
    methods: met,
    ...(app && { credential: app }),
    issued: iat * 1000,
    expires: exp * 1000,
    epoch: epo,
  }
}
