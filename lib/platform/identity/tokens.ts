import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import type { Claims, Tokens } from '../../identity/account.ts'
import type { Clock, Random } from '../../kit/clock.ts'
import type { MasterKey, Secrets } from '../secrets/secrets.ts'
import type { Store } from '../store/store.ts'
import { userRecord } from './accounts.ts'
import { openJws, signJws } from './jws.ts'
import { credentialIds, EVERYBODY, revocations } from './records.ts'

const INFO = 'coffer/identity/token'
const MOST_CHARACTERS = 8 * 1024
/** Tokens whose signature was found to be good: what they say cannot change. Whether they still stand is asked each time. */
const MOST_OPENED = 1_000

/** Short names: a token goes with each request, and API Gateway takes 10 KB of headers. */
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

export interface TokenParts {
  store: Store
  secrets: Secrets
  clock: Clock
  random: Random
  /** Milliseconds. */
  lifetime: number
}

/** Tokens are JWTs (HS256), their key derived from a master key; what ends them early stands in the store. */
export function signedTokens({ store, secrets, clock, random, lifetime }: TokenParts): Tokens {
  const keys = tokenKeys(secrets)
  const opened = remembering(MOST_OPENED, token => open(token, keys))
  return {
    async issue({ expires, ...said }) {
      const issued = wholeSeconds(clock.now())
      const end = wholeSeconds(Math.min(issued + lifetime, expires ?? Number.POSITIVE_INFINITY))
      const id = Buffer.from(random.bytes(16)).toString('base64url')
      const claims: Claims = { ...said, id, issued, expires: end }
      const { kid, key } = await keys.current()
      const token = signJws(toPayload(claims), kid, key)
      return { token, claims }
    },
    async read(token) {
      const claims = token.length > MOST_CHARACTERS ? undefined : await opened(token)
      if (!claims || claims.expires <= clock.now()) return undefined
      return (await stands(claims, store)) ? claims : undefined
    },
    async revoke({ id, expires }) {
      await store.transact([{ op: 'put', key: revocations.key(EVERYBODY, id), body: {}, expires }])
    },
  }
}

/** The work, its last results kept; of nothing, none is. */
function remembering<T>(most: number, work: (text: string) => Promise<T | undefined>) {
  const known = new Map<string, T>()
  return async (text: string): Promise<T | undefined> => {
    const found = known.get(text) ?? (await work(text))
    if (found === undefined || known.has(text)) return found
    known.set(text, found)
    const [oldest] = known.keys()
    if (known.size > most && oldest !== undefined) known.delete(oldest)
    return found
  }
}

/** What a token with a good signature says, or nothing. */
async function open(token: string, keys: TokenKeys): Promise<Claims | undefined> {
  const parsed = Payload.safeParse(await openJws(token, keys.byId))
  return parsed.success ? toClaims(parsed.data) : undefined
}

/** Whether nothing that happened since has ended it. Asked of the store each time: a revocation holds at once. */
async function stands({ id, user, epoch, credential }: Claims, store: Store): Promise<boolean> {
  const [revoked, record, pointer] = await Promise.all([
    revocations.get(store, EVERYBODY, id),
    userRecord(store, user.id),
    credential && credentialIds.get(store, EVERYBODY, credential.id),
  ])
  if (revoked || (credential && !pointer)) return false
  return record?.body.enabled === true && record.body.epoch === epoch
}

interface TokenKeys {
  current(): Promise<{ kid: string; key: KeyObject }>
  byId(kid: string): Promise<KeyObject | undefined>
}

/** Derived keys are kept: there are as few as there are master keys. */
function tokenKeys(secrets: Secrets): TokenKeys {
  const known = new Map<string, KeyObject>()
  const derived = ({ id, bytes }: MasterKey) => {
    const key = known.get(id) ?? derive(bytes)
    known.set(id, key)
    return key
  }
  return {
    async current() {
      const master = await secrets.current()
      return { kid: master.id, key: derived(master) }
    },
    async byId(kid) {
      const key = known.get(kid)
      if (key) return key
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
