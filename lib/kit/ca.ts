import { createECDH, createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { Conflict, type Store } from '../platform/store/store.ts'
import type { Clock, Random } from './clock.ts'
import { badRequest } from './errors.ts'
import type { Keys } from './keys.ts'
import { kind } from './records.ts'
import { signed } from './x509.ts'

/** A server's certificate, what to trust to believe it (both PEM), and when it ends (milliseconds since the epoch). */
export interface Issued {
  certificate: string
  ca: string
  expires: number
}

/** The certificate authority of this Coffer. Its private key is derived from the master key, and stored nowhere. */
export interface Authority {
  /** Certificates of the authority (PEM): what a client has to trust. Always the same, but for a change of master keys. */
  bundle(): Promise<string>
  /** Throws Fault 400 for a key (SPKI, DER, base64) that is none of P-256. */
  issue(server: { publicKey: string; dns: string; addresses: string[] }): Promise<Issued>
}

const DAY_MS = 86_400_000
const CERTIFICATE_MS = 30 * DAY_MS
const AUTHORITY_MS = 20 * 365 * DAY_MS
/** For clients whose clocks are behind. */
const SKEW_MS = 3_600_000
/** An authority of a new master key is published for so long before it signs: until then clients fetch it. */
const PUBLISHED_MS = 30 * DAY_MS
const SERIAL_BYTES = 16
/** The order of P-256: private keys are below it. */
const ORDER = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')

/** The certificate of the authority of one master key, whose id is the record's. */
const authorities = kind<{ certificate: string; created: number }>('ca')

interface Signer {
  certificate: string
  created: number
  name: string
  key: KeyObject
  publicKey: Buffer
}

export function authority(parts: { keys: Keys; store: Store; clock: Clock; random: Random }): Authority {
  const { keys, store, clock, random } = parts

  /** Of every master key that is known, the oldest first. */
  async function signers(): Promise<Signer[]> {
    const current = await keys.currentId()
    if (!(await authorities.get(store, '*', current))) await found(current)
    const records = await authorities.list(store, '*', { limit: 100 })
    const known = await Promise.all(
      records.map(async ({ key: { id }, body }) => {
        // One whose master key was taken away is neither trusted nor used any more.
        const parts = await keyOf(keys, id.slice(authorities.name.length + 1)).catch(() => undefined)
        return parts && { ...body, ...parts }
      }),
    )
    return known.filter(signer => signer !== undefined).sort((a, b) => a.created - b.created)
  }

  async function found(kid: string): Promise<void> {
    const { name, key, publicKey } = await keyOf(keys, kid)
    const created = clock.now()
    const times = { from: created - SKEW_MS, until: created + AUTHORITY_MS }
    const ids = { serial: random.bytes(SERIAL_BYTES), subject: name, issuer: name }
    const certificate = signed({ ...ids, publicKey, issuerKey: publicKey, ...times }, key)
    try {
      await store.transact([authorities.create('*', kid, { certificate, created })])
    } catch (error) {
      // Another process was faster: its certificate is the one.
      if (!(error instanceof Conflict)) throw error
    }
  }

  const bundleOf = (all: Signer[]) => all.map(({ certificate }) => certificate).join('')

  return {
    bundle: async () => bundleOf(await signers()),
    async issue({ publicKey, dns, addresses }) {
      const all = await signers()
      const now = clock.now()
      const signer = all.findLast(({ created }) => created <= now - PUBLISHED_MS) ?? all[0]
      if (!signer) throw new Error('no authority')
      const expires = now + CERTIFICATE_MS
      const ids = { serial: random.bytes(SERIAL_BYTES), subject: dns, issuer: signer.name }
      const both = { publicKey: checkedKey(publicKey), issuerKey: signer.publicKey }
      const times = { from: now - SKEW_MS, until: expires }
      const certificate = signed({ ...ids, ...both, ...times, names: { dns: [dns], addresses } }, signer.key)
      return { certificate, ca: bundleOf(all), expires }
    },
  }
}

/** The authority's key under that master key: a number below the order, of twice the bits needed so that none is likelier. */
async function keyOf(keys: Keys, kid: string): Promise<Pick<Signer, 'name' | 'key' | 'publicKey'>> {
  const halves = await Promise.all(['1', '2'].map(half => keys.derive(kid, 'ca', half)))
  const scalar = (BigInt(`0x${Buffer.concat(halves).toString('hex')}`) % (ORDER - 1n)) + 1n
  const pair = createECDH('prime256v1')
  pair.setPrivateKey(Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex'))
  const point = pair.getPublicKey()
  const coordinate = (from: number) => point.subarray(from, from + 32).toString('base64url')
  const d = pair.getPrivateKey().toString('base64url')
  const jwk = { kty: 'EC', crv: 'P-256', d, x: coordinate(1), y: coordinate(33) }
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' })
  // Named after its key: two of them are never mistaken for each other.
  const name = `Coffer CA ${createHash('sha256').update(publicKey).digest('hex').slice(0, 16)}`
  return { name, key, publicKey }
}

function checkedKey(base64: string): Buffer {
  try {
    const key = createPublicKey({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'spki' })
    if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key.export({ type: 'spki', format: 'der' })
  } catch {
    // Told below.
  }
  throw badRequest('The TLS key is not a public key of P-256.')
}
