import { X509Certificate } from 'node:crypto'
import type { CertificateVerbs } from '../lib/datastores/driver.ts'
import type { Clock, Log } from '../lib/kit/clock.ts'
import { messageOf } from '../lib/kit/errors.ts'

/** The server's certificate and its CA (PEM), and when it expires (milliseconds since the epoch). */
interface TlsFiles {
  certificate: string
  ca: string
  expires: number
}

interface CertificateParts {
  driver: CertificateVerbs
  clock: Clock
  log: Log
  signal: AbortSignal
  /** The certificate of the last enrolment. */
  current(): TlsFiles | undefined
  /** Enrols again. */
  renew(): Promise<unknown>
}

/** How often the certificate is checked, and how soon again after a failure. */
const CHECK_MS = 3_600_000
const RETRY_MS = 1_000

/**
 * Keeps the database server's certificate valid: uses the one of the last enrolment at once, and enrols again when less
 * than a third of its lifetime is left. `served` resolves once the first is in use.
 */
export function keepCertificate(parts: CertificateParts): { served: Promise<void>; ended: Promise<void> } {
  const { clock, log, signal } = parts
  const { promise: served, resolve: resolveServed } = Promise.withResolvers<void>()
  let inUse: TlsFiles | undefined

  async function check(): Promise<void> {
    const key = await parts.driver.tls_key()
    if (!isGood(parts.current(), key, clock.now())) await parts.renew()
    const issued = parts.current()
    if (!issued || !isBetter(issued, inUse, key, clock.now())) return
    await parts.driver.use_certificate({ certificate: issued.certificate, ca: issued.ca })
    inUse = issued
    log.info({ expires: issued.expires }, 'certificate in use')
  }

  async function keep(): Promise<void> {
    while (!signal.aborted) {
      const wait = await check().then(
        () => {
          resolveServed()
          return CHECK_MS
        },
        (error: unknown) => {
          log.error({ error: messageOf(error) }, 'checking the certificate failed')
          return RETRY_MS
        },
      )
      await clock.sleep(wait, signal)
    }
  }

  return { served, ended: keep() }
}

/**
 * Each enrolment issues a new one. It is used when the old one ages, or when the names in it or the CA have changed.
 */
function isBetter(issued: TlsFiles, inUse: TlsFiles | undefined, key: string, now: number): boolean {
  if (!inUse || !isGood(inUse, key, now) || issued.ca !== inUse.ca) return true
  return namesOf(issued) !== namesOf(inUse)
}

const namesOf = ({ certificate }: TlsFiles) => new X509Certificate(certificate).subjectAltName

/** Whether it is for this key, with more than a third of its lifetime left. */
function isGood(tls: TlsFiles | undefined, key: string, now: number): tls is TlsFiles {
  if (!tls) return false
  const { publicKey, validFromDate } = new X509Certificate(tls.certificate)
  const third = (tls.expires - validFromDate.getTime()) / 3
  return tls.expires - now > third && publicKey.export({ type: 'spki', format: 'der' }).toString('base64') === key
}
