import { toDate } from '../time.ts'

// The few types of ASN.1, in DER encoding, that a certificate needs.

const HIGH_BIT = 0x80
const YEAR_2050 = 2_524_608_000_000

/** A value (the parts, joined) after its tag and length. */
function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([tag]), lengthOf(content.length), content])
}

function lengthOf(size: number): Buffer {
  if (size < HIGH_BIT) return Buffer.from([size])
  const bytes = bigEndian(size)
  return Buffer.from([HIGH_BIT | bytes.length, ...bytes])
}

function bigEndian(value: number): number[] {
  return value < 256 ? [value] : [...bigEndian(Math.floor(value / 256)), value % 256]
}

/** SEQUENCE. */
export const sequence = (...parts: Uint8Array[]) => der(0x30, ...parts)
/** SET. */
export const derSet = (...parts: Uint8Array[]) => der(0x31, ...parts)
/** OCTET STRING. */
export const octetString = (...parts: Uint8Array[]) => der(0x04, ...parts)
/** UTF8String. */
export const utf8 = (text: string) => der(0x0c, Buffer.from(text))
/** BOOLEAN TRUE. */
export const TRUE = der(0x01, Buffer.from([0xff]))

/** A non-negative integer, from its big-endian bytes. */
export function integer(bytes: Uint8Array): Buffer {
  const firstNonZero = bytes.findIndex(byte => byte !== 0)
  const significant = firstNonZero < 0 ? Buffer.from([0]) : bytes.subarray(firstNonZero)
  // The number would be negative if its first bit were set.
  return der(0x02, Buffer.from((significant[0] ?? 0) & HIGH_BIT ? [0] : []), significant)
}

/** A bit string, of which the last `unused` bits are padding. */
export const bits = (bytes: Uint8Array, unused = 0) => der(0x03, Buffer.from([unused]), bytes)

/** `[n] EXPLICIT`: a tag around other values. */
export const contextTag = (n: number, ...parts: Uint8Array[]) => der(0xa0 | n, ...parts)
/** `[n] IMPLICIT`: a tag in place of a primitive value's own. */
export const implicitTag = (n: number, content: Uint8Array) => der(HIGH_BIT | n, content)

/** An object identifier, from a text such as `2.5.29.17`. */
export function objectId(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

function base128(value: number): number[] {
  const bytes = [value % 128]
  for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128))
    bytes.unshift(HIGH_BIT | (left % 128))
  return bytes
}

/**
 * A time to the second. Certificates must use UTCTime (a two-digit year) before 2050, and GeneralizedTime from then on.
 */
export function time(ms: number): Buffer {
  const digits = `${toDate(ms).toISOString().slice(0, 19).replace(/\D/g, '')}Z`
  return ms < YEAR_2050 ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits))
}
