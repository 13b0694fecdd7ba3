import { timingSafeEqual } from 'node:crypto'
import { jwtVerify } from 'jose'
import { z } from 'zod'
import { CONDUCTOR_TOPIC, guestSubject, guestTopic } from '../contracts/conductor.ts'
import { pointers, serverName } from '../instances/instance.ts'
import type { Issued } from '../kit/ca.ts'
import { Fault } from '../kit/errors.ts'
import { retrying } from '../kit/records.ts'
import { dateOf } from '../kit/time.ts'
import type { Platform } from '../platform/platform.ts'
import { enrolSecret, type Guest, guests } from './guest.ts'

/** The public half of the database server's key (SPKI, DER, base64); agents of before have none. */
const TlsKey = z.string().max(200)

const PublicKey = z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string().max(64) })

/** What an agent asks `POST /enrol` with: its single-use secret at first, its own signature later. */
export const EnrolRequest = z.union([
  z.object({
    instance: z.string().max(64),
    generation: z.int(),
    secret: z.string().max(100),
    publicKey: PublicKey,
    tlsKey: TlsKey.optional(),
  }),
  z.object({
    instance: z.string().max(64),
    generation: z.int(),
    /** A JWT with audience `enrol`, at most a minute old, signed with the agent's key; its claim `tls` is the TLS key. */
    proof: z.string().max(2_000),
  }),
])
export type EnrolRequest = z.infer<typeof EnrolRequest>

/** Credentials for the bus last an hour; the agent renews them. */
const CREDENTIALS_MS = 3_600_000
const PROOF_AGE = '60s'

/**
 * Trades the secret, or a signature, for addresses, keys, credentials and a certificate. Throws Fault 401 whatever is
 * wrong; 503 while the machine has not told where it is: the trade can then be repeated.
 */
export async function enrol(platform: Platform, request: EnrolRequest) {
  const { guest, tlsKey } =
    'secret' in request
      ? { guest: await firstTrade(platform, request), tlsKey: request.tlsKey }
      : await renewal(platform, request)
  const tls = tlsKey === undefined ? undefined : await certificate(platform, guest, tlsKey)
  return { ...(await credentials(platform, guest)), ...(tls && { tls }) }
}

/** A certificate for where the instance is by what its machine says of it, never by what its agent says. */
async function certificate(platform: Platform, guest: Guest, publicKey: string): Promise<Issued> {
  const { project, instance, generation } = guest
  const { addresses = [] } = (await platform.compute.server(project, serverName(instance, generation))) ?? {}
  if (addresses.length === 0) throw new Fault(503, 'Where the instance is, is not known yet.')
  const dns = `${instance}.coffer.internal`
  return platform.authority.issue({ publicKey, dns, addresses: addresses.map(({ address }) => address) })
}

async function firstTrade(platform: Platform, request: Extract<EnrolRequest, { secret: string }>): Promise<Guest> {
  const { instance, generation, secret, publicKey } = request
  const expected = await enrolSecret(platform.keys, instance, generation)
  if (!same(secret, expected)) throw refused()
  return retrying(platform.store, async () => {
    const item = await guestOf(platform, instance, generation)
    const { publicKey: known, enrolUntil, heard } = item.body
    // Once the agent has reported, it has its credentials on its disk, and signs for new ones.
    if (heard === generation) throw refused()
    // A repeated trade (the first answer was lost) is fine with the same key, and with no other.
    if (known ? known.x !== publicKey.x : enrolUntil < platform.clock.now()) throw refused()
    if (known) return { changes: [], result: item.body }
    const body = { ...item.body, publicKey, enrolUntil: 0 }
    return { changes: [guests.replace(item, body)], result: body }
  })
}

async function renewal(platform: Platform, request: Extract<EnrolRequest, { proof: string }>) {
  const item = await guestOf(platform, request.instance, request.generation)
  const { publicKey, instance } = item.body
  if (!publicKey) throw refused()
  try {
    const { payload } = await jwtVerify(request.proof, publicKey, {
      algorithms: ['EdDSA', 'Ed25519'],
      audience: 'enrol',
      subject: guestSubject(instance),
      maxTokenAge: PROOF_AGE,
      currentDate: dateOf(platform.clock.now()),
    })
    return { guest: item.body, tlsKey: TlsKey.optional().parse(payload['tls']) }
  } catch {
    throw refused()
  }
}

async function guestOf({ store }: Platform, instance: string, generation: number) {
  const pointer = await pointers.get(store, '*', instance)
  const item = pointer && (await guests.get(store, pointer.body.project, instance))
  if (!item || item.body.generation !== generation) throw refused()
  return item
}

async function credentials(platform: Platform, { instance, generation, issued }: Guest) {
  const topic = guestTopic(instance, generation)
  const expires = platform.clock.now() + CREDENTIALS_MS
  const kid = await platform.keys.currentId()
  const key = async (direction: 'down' | 'up') =>
    Buffer.from(await platform.keys.derive(kid, 'seal', guestSubject(instance), generation, direction)).toString(
      'base64url',
    )
  return {
    topic,
    conductor: CONDUCTOR_TOPIC,
    access: await platform.access({ receive: [topic], send: [CONDUCTOR_TOPIC], expires }),
    expires,
    kid,
    keys: { down: await key('down'), up: await key('up') },
    issued,
  }
}

function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

const refused = () => new Fault(401, 'This enrolment is not valid.')
