import { z } from 'zod'
import { decryptJwe, encryptJwe } from './jwe.ts'
import type { Keys } from './keys.ts'

const Envelope = z.object({
  /** Who stands at the machine's end: `guest:<instance>` or `host:<id>`. */
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

/** A message on a queue between the control plane and a machine. Only `jwe` is closed; the rest is authenticated with it. */
export type Envelope = z.infer<typeof Envelope>
export type Outer = Omit<Envelope, 'jwe' | 'kid'>

/** A message that is malformed, altered, expired, or sealed for or by somebody else. It is dropped. */
export class BadSeal extends Error {
  override name = 'BadSeal'
}

/** Seals and opens envelopes. */
export interface Sealer {
  seal(outer: Outer, payload: unknown): Promise<string>
  /** The payload. Throws BadSeal. */
  open(envelope: Envelope): Promise<unknown>
}

/** The envelope in a message's body, still closed. Throws BadSeal. */
export function readEnvelope(body: string): Envelope {
  const parsed = Envelope.safeParse(tryJson(body))
  if (!parsed.success) throw new BadSeal('not an envelope')
  return parsed.data
}

/** The key of one end: what the control plane derives and what an enrolled agent was given. */
export interface EndKeys {
  kid(): Promise<string>
  key(kid: string, subject: string, generation: number, direction: 'down' | 'up'): Promise<Uint8Array>
}

/** The control plane's end: every key, derived. */
export const derivedEnd = (keys: Keys): EndKeys => ({
  kid: () => keys.currentId(),
  key: (kid, subject, generation, direction) => keys.derive(kid, 'seal', subject, generation, direction),
})

/** JWE, A256GCM, with everything outside of it as associated data. */
export function sealer(end: EndKeys): Sealer {
  return {
    async seal(outer, payload) {
      const kid = await end.kid()
      const key = await end.key(kid, outer.subject, outer.generation, outer.direction)
      const jwe = encryptJwe(JSON.stringify(payload ?? null), key, { aad: associated(outer) })
      return JSON.stringify({ ...outer, kid, jwe })
    },
    async open(envelope) {
      try {
        const { kid, subject, generation, direction } = envelope
        const key = await end.key(kid, subject, generation, direction)
        return tryJson(decryptJwe(envelope.jwe, key, associated(envelope)))
      } catch {
        throw new BadSeal(`cannot open a message of ${envelope.subject}`)
      }
    },
  }
}

function associated({ subject, generation, direction, kind, id, expires }: Outer): string {
  return JSON.stringify([subject, generation, direction, kind, id, expires])
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new BadSeal('not JSON')
  }
}
