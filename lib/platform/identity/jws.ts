import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'

/** Nothing else is understood: no other algorithm, and no extension that a `crit` would demand. */
const Header = z.strictObject({ alg: z.literal('HS256'), kid: z.string().max(64) })

// By hand and not by jose: its HMAC goes through a thread and back, 190 µs for each request instead of 15.

/** A compact JWS (RFC 7515) of a JSON value, HS256. */
export function signJws(payload: unknown, kid: string, key: KeyObject): string {
  const signed = `${encode({ alg: 'HS256', kid })}.${encode(payload)}`
  return `${signed}.${mac(signed, key)}`
}

/** The payload's JSON, if the signature is by the key that `keyOf` has for it. Undefined for anything else. */
export async function openJws(jws: string, keyOf: (kid: string) => Promise<KeyObject | undefined>): Promise<unknown> {
  const [header = '', payload = '', signature = '', ...more] = jws.split('.', 4)
  const parsed = Header.safeParse(decode(header))
  if (!parsed.success || more.length > 0) return undefined
  const key = await keyOf(parsed.data.kid)
  return key && isEqual(signature, mac(`${header}.${payload}`, key)) ? decode(payload) : undefined
}

/** Compared as text: of the ways to write the same bytes, one is good. */
function isEqual(given: string, right: string): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(right)]
  return one.length === other.length && timingSafeEqual(one, other)
}

function mac(text: string, key: KeyObject): string {
  return createHmac('sha256', key).update(text).digest('base64url')
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function decode(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString())
  } catch {
    return undefined
  }
}
