import { z } from 'zod'
import { contract, query } from '../kit/rpc/contract.ts'
import { QueueAccess } from './queue-access.ts'

/** The public half of the database server's key (SPKI, DER, base64). Older agents send none. */
export const TlsKey = z.string().max(200)

const PublicKey = z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string().max(64) })

/** The agent's single-use secret at first, its own signature later. */
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
    /** A JWT for audience `enrol`, at most a minute old, signed with the agent's key. Claim `tls` is the TLS key. */
    proof: z.string().max(2_000),
  }),
])
export type EnrolRequest = z.infer<typeof EnrolRequest>

/** An agent's credentials. Agents store them: they read those of the version before after an upgrade. */
export const EnrolAnswer = z.object({
  topic: z.string(),
  conductor: z.string(),
  access: QueueAccess,
  /** Milliseconds since the epoch, for `access`. */
  expires: z.number(),
  kid: z.string(),
  keys: z.object({ down: z.string(), up: z.string() }),
  /** The number of the last command that was issued before. */
  issued: z.int(),
  /** A certificate for the database server. */
  tls: z.object({ certificate: z.string(), ca: z.string(), expires: z.number() }).optional(),
})
export type EnrolAnswer = z.infer<typeof EnrolAnswer>

/** `POST /enrol`: an agent exchanges its secret, or a signature, for its credentials. */
export const enrolment = contract('enrolment', { enrol: query(EnrolRequest, EnrolAnswer) })
