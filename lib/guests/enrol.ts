import { timingSafeEqual } from 'node:crypto'
import { jwtVerify } from 'jose'
import { z } from 'zod'
import { CONDUCTOR_TOPIC, guestSubject, guestTopic } from '../contracts/conductor.ts'
import { pointers } from '../instances/instance.ts'
import { Fault } from '../kit/errors.ts'
import { retrying } from '../kit/records.ts'
import { dateOf } from '../kit/time.ts'
import type { Platform } from '../platform/platform.ts'
import { enrolSecret, type Guest, guests } from './guest.ts'

const PublicKey = z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string().max(64) })

/** What an agent asks `POST /enrol` with: its single-use secret at first, its own signature later. */
export const EnrolRequest = z.union([
  z.object({
    instance: z.string().max(64),
    generation: z.int(),
    secret: z.string().max(100),
    publicKey: PublicKey,
  }),
  z.object({
    instance: z.string().max(64),
    generation: z.int(),
    /** A JWT with audience `enrol`, at most a minute old, signed with the agent's key. */
    proof: z.string().max(2_000),
  }),
])
export type EnrolRequest = z.infer<typeof EnrolRequest>

/** Credentials for the bus last an hour; the agent renews them. */
const CREDENTIALS_MS = 3_600_000
const PROOF_AGE = '60s'

/** Trades the secret, or a signature, for addresses, keys and credentials. Throws Fault 401 whatever is wrong. */
export async function enrol(platform: Platform, request: EnrolRequest) {
  const guest = 'secret' in request ? await firstTrade(platform, request) : await renewal(platform, request)
  return credentials(platform, guest)
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

async function renewal(platform: Platform, request: Extract<EnrolRequest, { proof: string }>): Promise<Guest> {
  const item = await guestOf(platform, request.instance, request.generation)
  const { publicKey, instance } = item.body
  if (!publicKey) throw refused()
  try {
    await jwtVerify(request.proof, publicKey, {
      algorithms: ['EdDSA', 'Ed25519'],
      audience: 'enrol',
      subject: guestSubject(instance),
      maxTokenAge: PROOF_AGE,
      currentDate: dateOf(platform.clock.now()),
    })
  } catch {
    throw refused()
  }
  return item.body
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
