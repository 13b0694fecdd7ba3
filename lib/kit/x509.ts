import { createHash, type KeyObject, sign } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { bits, integer, octets, oid, replaced, sequence, setOf, TRUE, tagged, time, utf8 } from './der.ts'

/** A certificate to be signed. Times are milliseconds since the epoch. */
export interface Draft {
  /** 16 random bytes. */
  serial: Uint8Array
  /** Common names. */
  subject: string
  issuer: string
  /** SPKI, DER. */
  publicKey: Uint8Array
  issuerKey: Uint8Array
  from: number
  until: number
  /** What a server is reached at; undefined = the certificate is an authority's. */
  names?: { dns: string[]; addresses: string[] }
}

const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'))
const SERVER_AUTH = oid('1.3.6.1.5.5.7.3.1')
const VERSION_3 = tagged(0, integer(Buffer.from([2])))

const named = (text: string) => sequence(setOf(sequence(oid('2.5.4.3'), utf8(text))))
const idOf = (key: Uint8Array) => createHash('sha256').update(key).digest().subarray(0, 20)
const extension = (id: string, value: Buffer) => sequence(oid(id), octets(value))
const critical = (id: string, value: Buffer) => sequence(oid(id), TRUE, octets(value))

/** An X.509 certificate (PEM) for what the draft says, signed with the issuer's P-256 key. */
export function signed(draft: Draft, key: KeyObject): string {
  const { serial, subject, issuer, publicKey, from, until } = draft
  const positive = Buffer.from(serial)
  // Neither negative nor shorter than the others.
  positive[0] = ((positive[0] ?? 0) & 0x7f) | 0x40
  const content = sequence(
    ...[VERSION_3, integer(positive), ECDSA_SHA256, named(issuer), sequence(time(from), time(until)), named(subject)],
    ...[Buffer.from(publicKey), tagged(3, sequence(...extensions(draft)))],
  )
  const certificate = sequence(content, ECDSA_SHA256, bits(sign('sha256', content, key)))
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

function extensions({ publicKey, issuerKey, names }: Draft): Buffer[] {
  const ids = [
    extension('2.5.29.14', octets(idOf(publicKey))),
    extension('2.5.29.35', sequence(replaced(0, idOf(issuerKey)))),
  ]
  if (!names) {
    const noFurtherAuthority = integer(Buffer.from([0]))
    // keyCertSign, cRLSign
    return [
      critical('2.5.29.19', sequence(TRUE, noFurtherAuthority)),
      critical('2.5.29.15', bits(Buffer.from([0x06]), 1)),
      ...ids,
    ]
  }
  const alternatives = [
    ...names.dns.map(name => replaced(2, Buffer.from(name))),
    ...names.addresses.map(address => replaced(7, addressBytes(address))),
  ]
  return [
    critical('2.5.29.19', sequence()),
    // digitalSignature
    critical('2.5.29.15', bits(Buffer.from([0x80]), 7)),
    extension('2.5.29.37', sequence(SERVER_AUTH)),
    extension('2.5.29.17', sequence(...alternatives)),
    ...ids,
  ]
}

/** The 4 or 16 bytes of an IP address. */
function addressBytes(address: string): Buffer {
  if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number))
  const { hostname } = new URL(`http://[${address}]`)
  const [head = '', tail] = hostname.slice(1, -1).split('::')
  const groups = (text: string | undefined) => (text ? text.split(':') : [])
  const before = groups(head)
  const after = groups(tail)
  const zeros = Array<string>(8 - before.length - after.length).fill('0')
  return Buffer.from([...before, ...zeros, ...after].map(group => group.padStart(4, '0')).join(''), 'hex')
}
