import { dateOf } from './time.ts'

/** The few forms of ASN.1, in DER, that a certificate is made of. */
const HIGH_BIT = 0x80
const YEAR_2050 = 2_524_608_000_000

/** A value with its tag and length. */
export function der(tag: number, ...parts: Uint8Array[]): Buffer {
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

export const sequence = (...parts: Uint8Array[]) => der(0x30, ...parts)
export const setOf = (...parts: Uint8Array[]) => der(0x31, ...parts)
export const octets = (...parts: Uint8Array[]) => der(0x04, ...parts)
export const utf8 = (text: string) => der(0x0c, Buffer.from(text))
export const TRUE = der(0x01, Buffer.from([0xff]))

/** A whole number that is not negative, from its bytes. */
export function integer(bytes: Uint8Array): Buffer {
  const first = bytes.findIndex(byte => byte !== 0)
  const needed = first < 0 ? Buffer.from([0]) : bytes.subarray(first)
  // A first bit that is set would make it negative.
  return der(0x02, Buffer.from((needed[0] ?? 0) & HIGH_BIT ? [0] : []), needed)
}

/** Bits; so many at the end are not used. */
export const bits = (bytes: Uint8Array, unused = 0) => der(0x03, Buffer.from([unused]), bytes)

/** `[n]`, around other values. */
export const tagged = (n: number, ...parts: Uint8Array[]) => der(0xa0 | n, ...parts)
/** `[n]`, in place of a simple value's own tag. */
export const replaced = (n: number, content: Uint8Array) => der(HIGH_BIT | n, content)

/** An object identifier, written `2.5.29.17`. */
export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

function base128(value: number): number[] {
  const bytes = [value % 128]
  for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128))
    bytes.unshift(HIGH_BIT | (left % 128))
  return bytes
}

/** An instant to the second: with two digits of the year before 2050, as certificates must have it, with four later. */
export function time(ms: number): Buffer {
  const digits = `${dateOf(ms).toISOString().slice(0, 19).replace(/\D/g, '')}Z`
  return ms < YEAR_2050 ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits))
}
