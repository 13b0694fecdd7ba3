import { createECDH, createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { type Change, Conflict, type Store } from '../../ports/store.ts'
import type { Clock, Random } from '../clock.ts'
import type { Keys } from '../crypto/keys.ts'
import { secret } from '../crypto/secret.ts'
import { vault } from '../crypto/vault.ts'
import { badRequest } from '../errors.ts'
import { recordType, type Stored } from '../records.ts'
import { signCertificate } from './x509.ts'

/** A server's certificate, the authorities to trust (both PEM), and when it expires (milliseconds since the epoch). */
export interface IssuedCertificate {
  certificate: string
  ca: string
  expires: number
}

/**
 * The certificate authority of this Coffer. Its private key is derived from a master key. It is stored, encrypted, once
 * that master key is not the current one any more.
 */
export interface Authority {
  /** The certificates that a client has to trust (PEM). They change only with the master key. */
  bundle(): Promise<string>
  /** Stores the private keys of authorities of older master keys, encrypted with the current one. How many it stored. */
  keepKeys(): Promise<number>
  /** Issues a certificate for 30 days. Throws Fault 400 unless `publicKey` (SPKI, DER, base64) is a key of P-256. */
  issue(server: { publicKey: string; dns: string; addresses: string[] }): Promise<IssuedCertificate>
}

const DAY_MS = 86_400_000
const CERTIFICATE_MS = 30 * DAY_MS
const AUTHORITY_MS = 20 * 365 * DAY_MS
/** Certificates are valid from this long before now, for clients whose clocks are behind. */
const SKEW_MS = 3_600_000
/** How long the authority of a new master key is published before it signs, so that clients can fetch it first. */
const PUBLISH_MS = 30 * DAY_MS
const SERIAL_BYTES = 16
/** The order of P-256. Private keys are smaller. */
const ORDER = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')

/** How long an authority is trusted after its successor has begun to sign: as long as the last certificate is valid. */
const OUTGOING_MS = PUBLISH_MS + CERTIFICATE_MS

interface AuthorityRecord {
  certificate: string
  created: number
  /** The private key (hexadecimal), encrypted: missing while its master key is the current one. */
  scalar?: string
}
/** The authority's certificate for a master key. The record's id is that of the master key. */
const authorities = recordType<AuthorityRecord>('ca')
const StoredScalar = z.object({ scalar: secret(z.string()) })

interface KeyPair {
  name: string
  key: KeyObject
  publicKey: Buffer
}
type Signer = KeyPair & Pick<AuthorityRecord, 'certificate' | 'created'>

/**
 * The certificate authority. For each master key there is one root certificate, created on first use.
 *
 * @example
 * const ca = authority({ keys, store, clock, random })
 * const { certificate } = await ca.issue({ publicKey, dns: 'db.example.com', addresses: ['10.0.0.7'] })
 */
export function authority(deps: { keys: Keys; store: Store; clock: Clock; random: Random }): Authority {
  const { keys, store, clock, random } = deps
  const scalars = storedScalars(keys, store)

  /** The authorities that clients have to trust, oldest first. */
  async function signers(): Promise<Signer[]> {
    const current = await keys.currentId()
    if (!(await authorities.get(store, '*', current))) await createRoot(current)
    const revoked = await keys.revoked()
    const records = await authorities.list(store, '*', { limit: 100 })
    const available = await Promise.all(
      records.map(async record => {
        // Whoever has its master key can be this authority.
        if (revoked.includes(masterKeyOf(record))) return undefined
        const scalar = await scalars.read(record)
        return scalar === undefined ? undefined : { ...record.body, ...pairOf(scalar) }
      }),
    )
    const all = available.filter(signer => signer !== undefined).sort((a, b) => a.created - b.created)
    return all.filter((_, index) => (all[index + 1]?.created ?? Infinity) > clock.now() - OUTGOING_MS)
  }

  async function createRoot(kid: string): Promise<void> {
    const { name, key, publicKey } = pairOf(await derivedScalar(keys, kid))
    const created = clock.now()
    const times = { from: created - SKEW_MS, until: created + AUTHORITY_MS }
    const ids = { serial: random.bytes(SERIAL_BYTES), subject: name, issuer: name }
    const certificate = signCertificate({ ...ids, publicKey, issuerKey: publicKey, ...times }, key)
    try {
      await store.transact([authorities.create('*', kid, { certificate, created })])
    } catch (error) {
      // Another process was faster, and its certificate counts.
      if (!(error instanceof Conflict)) throw error
    }
  }

  const bundleOf = (all: Signer[]) => all.map(({ certificate }) => certificate).join('')

  return {
    bundle: async () => bundleOf(await signers()),
    keepKeys: () => scalars.keep(),
    async issue({ publicKey, dns, addresses }) {
      const all = await signers()
      const now = clock.now()
      const signer = all.findLast(({ created }) => created <= now - PUBLISH_MS) ?? all[0]
      if (!signer) throw new Error('no authority')
      const expires = now + CERTIFICATE_MS
      const ids = { serial: random.bytes(SERIAL_BYTES), subject: dns, issuer: signer.name }
      const publicKeys = { publicKey: parsePublicKey(publicKey), issuerKey: signer.publicKey }
      const times = { from: now - SKEW_MS, until: expires }
      const certificate = signCertificate(
        { ...ids, ...publicKeys, ...times, names: { dns: [dns], addresses } },
        signer.key,
      )
      return { certificate, ca: bundleOf(all), expires }
    },
  }
}

const masterKeyOf = ({ key: { id } }: Stored<AuthorityRecord>) => id.slice(authorities.name.length + 1)

/** The private keys of authorities: derived from their master key, or stored when that is about to be removed. */
function storedScalars(keys: Keys, store: Store) {
  const secrets = vault(keys)
  const ownerOf = ({ key: { id } }: Stored<AuthorityRecord>) => `*/${id}`
  return {
    /** Undefined if neither the master key is there nor was the private key stored. */
    async read(record: Stored<AuthorityRecord>): Promise<string | undefined> {
      const { scalar } = record.body
      if (scalar === undefined) return derivedScalar(keys, masterKeyOf(record)).catch(() => undefined)
      const unlocked = await secrets.unlock(StoredScalar, { scalar }, ownerOf(record)).catch(() => undefined)
      return unlocked === undefined ? undefined : StoredScalar.parse(unlocked).scalar
    },
    async keep(): Promise<number> {
      const current = await keys.currentId()
      const changes: Change[] = []
      for (const record of await authorities.list(store, '*', { limit: 100 })) {
        const { scalar } = record.body
        const plain = scalar === undefined && masterKeyOf(record) !== current ? await this.read(record) : undefined
        const next =
          plain === undefined
            ? await secrets.renew({ scalar }, ownerOf(record))
            : { value: await secrets.lock(StoredScalar, { scalar: plain }, ownerOf(record)), renewed: 1 }
        if (next.renewed > 0)
          changes.push(authorities.replace(record, { ...record.body, ...StoredScalar.parse(next.value) }))
      }
      if (changes.length > 0) await store.transact(changes)
      return changes.length
    },
  }
}

/**
 * The authority's private key for a master key, hexadecimal: a number below the order of the curve, reduced from twice as
 * many bits so that all are equally likely.
 */
async function derivedScalar(keys: Keys, kid: string): Promise<string> {
  const halves = await Promise.all(['1', '2'].map(half => keys.derive(kid, 'ca', half)))
  const scalar = (BigInt(`0x${Buffer.concat(halves).toString('hex')}`) % (ORDER - 1n)) + 1n
  return scalar.toString(16).padStart(64, '0')
}

function pairOf(scalar: string): KeyPair {
  const pair = createECDH('prime256v1')
  pair.setPrivateKey(Buffer.from(scalar, 'hex'))
  const point = pair.getPublicKey()
  const coordinate = (from: number) => point.subarray(from, from + 32).toString('base64url')
  const d = pair.getPrivateKey().toString('base64url')
  const jwk = { kty: 'EC', crv: 'P-256', d, x: coordinate(1), y: coordinate(33) }
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' })
  // Named after its key, so that two authorities cannot be confused.
  const name = `Coffer CA ${createHash('sha256').update(publicKey).digest('hex').slice(0, 16)}`
  return { name, key, publicKey }
}

function parsePublicKey(base64: string): Buffer {
  try {
    const key = createPublicKey({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'spki' })
    if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key.export({ type: 'spki', format: 'der' })
  } catch {
    // Refused below.
  }
  throw badRequest('The TLS key is not a public key of P-256.')
}
