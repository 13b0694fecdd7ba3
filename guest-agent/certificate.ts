import { X509Certificate } from 'node:crypto'
import type { Driver } from '../lib/datastores/driver.ts'
import type { Clock, Log } from '../lib/kit/clock.ts'
import { reason } from '../lib/kit/errors.ts'

/** The server's certificate and what to trust (PEM), and when it ends (milliseconds since the epoch). */
interface Tls {
  certificate: string
  ca: string
  expires: number
}

export interface CertificateParts {
  driver: Pick<Driver, 'tls_key' | 'use_certificate'>
  clock: Clock
  log: Log
  signal: AbortSignal
  /** What enrolment gave last. */
  current(): Tls | undefined
  /** Enrols again. */
  renew(): Promise<unknown>
}

/** How often the certificate is looked at, and how soon again after a failure. */
const LOOK_MS = 3_600_000
const AGAIN_MS = 1_000

/**
 * Keeps the database server's certificate: the one that enrolment gave is put into use at once, a new one is asked for
 * when less than a third of its time is left. `served` resolves once the first is in use.
 */
export function keepCertificate(parts: CertificateParts): { served: Promise<void>; ended: Promise<void> } {
  const { clock, log, signal } = parts
  const { promise: served, resolve: first } = Promise.withResolvers<void>()
  let inUse: Tls | undefined

  async function look(): Promise<void> {
    const key = await parts.driver.tls_key()
    if (!isGood(parts.current(), key, clock.now())) await parts.renew()
    const given = parts.current()
    if (!given || !isBetter(given, inUse, key, clock.now())) return
    await parts.driver.use_certificate({ certificate: given.certificate, ca: given.ca })
    inUse = given
    log.info({ expires: given.expires }, 'certificate in use')
  }

  async function keep(): Promise<void> {
    while (!signal.aborted) {
      const wait = await look().then(
        () => {
          first()
          return LOOK_MS
        },
        (error: unknown) => {
          log.error({ error: reason(error) }, 'no certificate in use')
          return AGAIN_MS
        },
      )
      await clock.sleep(wait, signal)
    }
  }

  return { served, ended: keep() }
}

/** Each enrolment gives a new one: it is taken when the old one ages, or when what it says or whom to trust has changed. */
function isBetter(given: Tls, inUse: Tls | undefined, key: string, now: number): boolean {
  if (!inUse || !isGood(inUse, key, now) || given.ca !== inUse.ca) return true
  return namesOf(given) !== namesOf(inUse)
}

const namesOf = ({ certificate }: Tls) => new X509Certificate(certificate).subjectAltName

/** Whether it is for this key, with a third of its time left. */
function isGood(tls: Tls | undefined, key: string, now: number): tls is Tls {
  if (!tls) return false
  const { publicKey, validFromDate } = new X509Certificate(tls.certificate)
  const third = (tls.expires - validFromDate.getTime()) / 3
  return tls.expires - now > third && publicKey.export({ type: 'spki', format: 'der' }).toString('base64') === key
}
