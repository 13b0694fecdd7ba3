import { z } from 'zod'
import { decryptJwe, encryptJwe } from './jwe.ts'
import type { Keys } from './keys.ts'

const Envelope = z.object({
  /** The machine's end of the connection: `guest:<instance>` or `host:<id>`. */
  subject: z.string().max(200),
  generation: z.int().min(0),
  direction: z.enum(['down', 'up']),
  kind: z.enum(['query', 'command', 'cast', 'answer', 'report']),
  id: z.string().max(200),
  /** Milliseconds since the epoch. */
  expires: z.int(),
  kid: z.string().max(100),
  jwe: z.object({ protected: z.string(), iv: z.string(), ciphertext: z.string(), tag: z.string() }),
})

/**
 * A message on a queue between the control plane and a machine. Only `jwe` is encrypted; the rest is authenticated with
 * it.
 */
export type Envelope = z.infer<typeof Envelope>
/** The authenticated plain text of an envelope. */
export type EnvelopeHeader = Omit<Envelope, 'jwe' | 'kid'>

/** A message that is malformed, altered, expired, or sealed for or by somebody else. Receivers drop it. */
export class BadSeal extends Error {
  override name = 'BadSeal'
}

/** Seals and opens envelopes. */
export interface Sealer {
  /** The text of an envelope with the payload, which must be JSON. `kid`: another master key than the current one. */
  seal(header: EnvelopeHeader, payload: unknown, kid?: string): Promise<string>
  /** The payload. Throws BadSeal. */
  open(envelope: Envelope): Promise<unknown>
}

/** The envelope in the body of a message, not yet decrypted. Throws BadSeal. */
export function readEnvelope(body: string): Envelope {
  const parsed = Envelope.safeParse(parseJson(body))
  if (!parsed.success) throw new BadSeal('not an envelope')
  return parsed.data
}

/** The keys of one end: the control plane derives them, an enrolled agent was given them. */
export interface SealKeys {
  /** The id of the master key for new messages. */
  kid(): Promise<string>
  key(kid: string, subject: string, generation: number, direction: 'down' | 'up'): Promise<Uint8Array>
}

/** The control plane's keys: all of them, derived from the master key. */
export const derivedSealKeys = (keys: Keys): SealKeys => ({
  kid: () => keys.currentId(),
  key: (kid, subject, generation, direction) => keys.derive(kid, 'seal', subject, generation, direction),
})

/** The two keys that one machine is given, as base64url: `down` opens what it receives, `up` seals what it sends. */
export async function machineSealKeys(
  keys: Keys,
  kid: string,
  subject: string,
  generation: number,
): Promise<{ down: string; up: string }> {
  const { key } = derivedSealKeys(keys)
  const encoded = async (direction: 'down' | 'up') =>
    Buffer.from(await key(kid, subject, generation, direction)).toString('base64url')
  return { down: await encoded('down'), up: await encoded('up') }
}

/**
 * Seals and opens envelopes: JWE (A256GCM) with the header as additional authenticated data.
 *
 * @example
 * const { seal, open } = sealer(derivedSealKeys(keys))
 * const header = { subject: 'guest:7', generation: 1, direction: 'down', kind: 'query', id, expires } as const
 * const body = await seal(header, { ping: true })
 * await open(readEnvelope(body)) // { ping: true }
 */
export function sealer(sealKeys: SealKeys): Sealer {
  return {
    async seal(header, payload, kid) {
      const keyId = kid ?? (await sealKeys.kid())
      const key = await sealKeys.key(keyId, header.subject, header.generation, header.direction)
      const jwe = encryptJwe(JSON.stringify(payload ?? null), key, { aad: associatedData(header) })
      return JSON.stringify({ ...header, kid: keyId, jwe })
    },
    async open(envelope) {
      try {
        const { kid, subject, generation, direction } = envelope
        const key = await sealKeys.key(kid, subject, generation, direction)
        return parseJson(decryptJwe(envelope.jwe, key, associatedData(envelope)))
      } catch {
        throw new BadSeal(`cannot open a message of ${envelope.subject}`)
      }
    },
  }
}

/** The header as text, in a fixed order. */
function associatedData({ subject, generation, direction, kind, id, expires }: EnvelopeHeader): string {
  return JSON.stringify([subject, generation, direction, kind, id, expires])
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new BadSeal('not JSON')
  }
}
