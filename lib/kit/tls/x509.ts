import { createHash, type KeyObject, sign } from 'node:crypto'
import { isIPv6 } from 'node:net'
import {
  bits,
  contextTag,
  derSet,
  implicitTag,
  integer,
  objectId,
  octetString,
  sequence,
  TRUE,
  time,
  utf8,
} from './der.ts'

/** The content of a certificate. Times are milliseconds since the epoch. */
export interface CertificateSpec {
  /** 16 random bytes. */
  serial: Uint8Array
  /** Common name. */
  subject: string
  /** Common name. */
  issuer: string
  /** SPKI, DER. */
  publicKey: Uint8Array
  issuerKey: Uint8Array
  from: number
  until: number
  /** The names and addresses of a server. Missing for the certificate of an authority. */
  names?: { dns: string[]; addresses: string[] }
}

const ECDSA_SHA256 = sequence(objectId('1.2.840.10045.4.3.2'))
const SERVER_AUTH = objectId('1.3.6.1.5.5.7.3.1')
const VERSION_3 = contextTag(0, integer(Buffer.from([2])))

const distinguishedName = (text: string) => sequence(derSet(sequence(objectId('2.5.4.3'), utf8(text))))
const keyId = (key: Uint8Array) => createHash('sha256').update(key).digest().subarray(0, 20)
const extension = (id: string, value: Buffer) => sequence(objectId(id), octetString(value))
const criticalExtension = (id: string, value: Buffer) => sequence(objectId(id), TRUE, octetString(value))

/** An X.509 certificate (PEM) with this content, signed with the issuer's P-256 key. */
export function signCertificate(spec: CertificateSpec, key: KeyObject): string {
  const { serial, subject, issuer, publicKey, from, until } = spec
  const positive = Buffer.from(serial)
  // The second bit keeps the number from being shorter, the first from being negative.
  positive[0] = ((positive[0] ?? 0) & 0x7f) | 0x40
  const content = sequence(
    ...[
      VERSION_3,
      integer(positive),
      ECDSA_SHA256,
      distinguishedName(issuer),
      sequence(time(from), time(until)),
      distinguishedName(subject),
    ],
    ...[Buffer.from(publicKey), contextTag(3, sequence(...extensions(spec)))],
  )
  const certificate = sequence(content, ECDSA_SHA256, bits(sign('sha256', content, key)))
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

function extensions({ publicKey, issuerKey, names }: CertificateSpec): Buffer[] {
  const ids = [
    extension('2.5.29.14', octetString(keyId(publicKey))),
    extension('2.5.29.35', sequence(implicitTag(0, keyId(issuerKey)))),
  ]
  if (!names) {
    const noFurtherAuthority = integer(Buffer.from([0]))
    // keyCertSign, cRLSign
    return [
      criticalExtension('2.5.29.19', sequence(TRUE, noFurtherAuthority)),
      criticalExtension('2.5.29.15', bits(Buffer.from([0x06]), 1)),
      ...ids,
    ]
  }
  const alternatives = [
    ...names.dns.map(name => implicitTag(2, Buffer.from(name))),
    ...names.addresses.map(address => implicitTag(7, addressBytes(address))),
  ]
  return [
    criticalExtension('2.5.29.19', sequence()),
    // digitalSignature
    criticalExtension('2.5.29.15', bits(Buffer.from([0x80]), 7)),
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
