import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { beforeEach, describe, expect, it } from '@jest/globals'
import { derivedKeys } from '../../../lib/kit/crypto/keys.ts'
import { type Authority, authority } from '../../../lib/kit/tls/ca.ts'
import { sqliteStore } from '../../../lib/platform/store/sqlite/store.ts'
import type { MasterKey } from '../../../lib/ports/secrets.ts'
import type { Store } from '../../../lib/ports/store.ts'
import { seededRandom } from '../random.ts'
import { secretsOf } from '../secrets.ts'
import { virtualClock } from '../virtual-clock.ts'

const DAY = 86_400_000
const masterKey = (id: string, seed: number): MasterKey => ({ id, bytes: seededRandom(seed).bytes(32) })

const spki = (namedCurve = 'P-256') =>
  generateKeyPairSync('ec', { namedCurve }).publicKey.export({ type: 'spki', format: 'der' }).toString('base64')

const certificatesIn = (pem: string) =>
  pem
    .split(/(?<=-----END CERTIFICATE-----\n)/)
    .filter(text => text !== '')
    .map(text => new X509Certificate(text))

describe('the certificate authority', () => {
  let clock: ReturnType<typeof virtualClock>
  let store: Store
  let masters: MasterKey[]
  let revoked: string[]
  /** An authority as after a start of the control plane. The last master key is the current one. */
  const startAuthority = (backend = store): Authority => {
    return authority({
      keys: derivedKeys(secretsOf(masters, revoked)),
      store: backend,
      clock,
      random: seededRandom(clock.now()),
    })
  }
  beforeEach(() => {
    clock = virtualClock()
    store = sqliteStore(':memory:', { clock })
    masters = [masterKey('k1', 1)]
    revoked = []
  })
  const server = { dns: 'one.coffer.internal', addresses: ['127.80.0.2', 'fd00::1:2', '::1'] }

  it('certifies a key for a name and addresses for 30 days', async () => {
    const publicKey = spki()
    const { certificate, ca, expires } = await startAuthority().issue({ ...server, publicKey })
    const parsed = new X509Certificate(certificate)
    const [root] = certificatesIn(ca)
    expect(expires).toBe(clock.now() + 30 * DAY)
    expect(parsed.validToDate.getTime()).toBe(expires)
    expect(parsed.validFromDate.getTime()).toBe(clock.now() - 3_600_000)
    expect(parsed.subject).toBe('CN=one.coffer.internal')
    expect(parsed.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')).toBe(publicKey)
    expect(parsed.checkHost('one.coffer.internal')).toBe('one.coffer.internal')
    expect(parsed.checkHost('two.coffer.internal')).toBeUndefined()
    for (const address of server.addresses) expect(parsed.checkIP(address)).toBe(address)
    expect(parsed.checkIP('127.80.0.3')).toBeUndefined()
    // For servers only: it does not authenticate a client.
    expect(parsed.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1'])
    expect(parsed.ca).toBe(false)
    expect(root?.ca).toBe(true)
    expect(root && parsed.checkIssued(root) && parsed.verify(root.publicKey)).toBe(true)
    expect(root?.verify(root.publicKey)).toBe(true)
  })

  it('gives every certificate a unique serial number', async () => {
    const ca = startAuthority()
    const numbers = []
    for (let n = 0; n < 20; n++)
      numbers.push(new X509Certificate((await ca.issue({ ...server, publicKey: spki() })).certificate).serialNumber)
    expect(new Set(numbers).size).toBe(20)
    expect(numbers.every(number => /^[4-7][0-9A-F]{31}$/.test(number))).toBe(true)
  })

  it('stays the same after a restart, and differs for another master key', async () => {
    const first = await startAuthority().bundle()
    await clock.advance(DAY)
    expect(await startAuthority().bundle()).toBe(first)
    masters = [masterKey('k1', 2)]
    const other = await startAuthority(sqliteStore(':memory:', { clock })).bundle()
    const [firstRoot, otherRoot] = [first, other].map(pem => certificatesIn(pem)[0])
    expect(firstRoot?.subject).not.toBe(otherRoot?.subject)
    expect(otherRoot && firstRoot?.verify(otherRoot.publicKey)).toBe(false)
  })

  it('is created once when two processes start at the same time', async () => {
    const [a, b] = await Promise.all([startAuthority().bundle(), startAuthority().bundle()])
    expect(a).toBe(b)
    expect(certificatesIn(a)).toHaveLength(1)
  })

  it('signs with a new master key only after clients had 30 days to fetch its root', async () => {
    const [old] = certificatesIn(await startAuthority().bundle())
    await clock.advance(400 * DAY)
    masters = [masterKey('k1', 1), masterKey('k2', 2)]
    const issuerNow = async () => {
      const { certificate, ca } = await startAuthority().issue({ ...server, publicKey: spki() })
      expect(certificatesIn(ca)).toHaveLength(2)
      return new X509Certificate(certificate).issuer
    }
    expect(await issuerNow()).toBe(old?.subject)
    await clock.advance(29 * DAY)
    expect(await issuerNow()).toBe(old?.subject)
    await clock.advance(DAY)
    expect(await issuerNow()).not.toBe(old?.subject)
  })

  it('no longer uses or publishes the root of a removed master key', async () => {
    const [old] = certificatesIn(await startAuthority().bundle())
    masters = [masterKey('k2', 2)]
    const { certificate, ca } = await startAuthority().issue({ ...server, publicKey: spki() })
    expect(certificatesIn(ca).map(({ subject }) => subject)).toEqual([new X509Certificate(certificate).issuer])
    expect(new X509Certificate(certificate).issuer).not.toBe(old?.subject)
  })

  it('stays in use when its master key is removed after its own key was stored, and leaves 60 days after its successor came', async () => {
    const [old] = certificatesIn(await startAuthority().bundle())
    masters = [masterKey('k1', 1), masterKey('k2', 2)]
    await startAuthority().bundle()
    expect(await startAuthority().keepKeys()).toBe(1)
    expect(await startAuthority().keepKeys()).toBe(0)
    masters = [masterKey('k2', 2)]
    const issue = async () => {
      const { certificate, ca } = await startAuthority().issue({ ...server, publicKey: spki() })
      return { issuer: new X509Certificate(certificate).issuer, trusted: certificatesIn(ca).length }
    }
    expect(await issue()).toEqual({ issuer: old?.subject, trusted: 2 })
    await clock.advance(31 * DAY)
    const later = await issue()
    expect(later).toEqual({ issuer: expect.not.stringContaining(old?.subject ?? ''), trusted: 2 })
    await clock.advance(30 * DAY)
    expect(await issue()).toEqual({ ...later, trusted: 1 })
  })

  it('stores its key only encrypted, and again with each new master key', async () => {
    await startAuthority().bundle()
    masters = [masterKey('k1', 1), masterKey('k2', 2)]
    await startAuthority().keepKeys()
    masters = [masterKey('k2', 2), masterKey('k3', 3)]
    // The authority of k2 was not made yet.
    expect(await startAuthority().keepKeys()).toBe(1)
    masters = [masterKey('k3', 3)]
    expect(certificatesIn(await startAuthority().bundle())).toHaveLength(2)
    const { items } = await store.all('ca', { limit: 10 })
    for (const { body } of items) expect((body as { scalar?: string }).scalar ?? 'eyJ').toMatch(/^eyJ/)
  })

  it('is trusted no longer once its master key is revoked', async () => {
    const [old] = certificatesIn(await startAuthority().bundle())
    masters = [masterKey('k1', 1), masterKey('k2', 2)]
    await startAuthority().keepKeys()
    masters = [masterKey('k2', 2)]
    revoked = ['k1']
    const { certificate, ca } = await startAuthority().issue({ ...server, publicKey: spki() })
    expect(certificatesIn(ca)).toHaveLength(1)
    expect(new X509Certificate(certificate).issuer).not.toBe(old?.subject)
  })

  it.each([
    ['no key', ''],
    ['garbage', 'AAAA'],
    ['a key of another curve', spki('P-384')],
    [
      'a private key',
      generateKeyPairSync('ec', { namedCurve: 'P-256' })
        .privateKey.export({ type: 'pkcs8', format: 'der' })
        .toString('base64'),
    ],
  ])('refuses %s', async (_, publicKey) => {
    await expect(startAuthority().issue({ ...server, publicKey })).rejects.toMatchObject({ status: 400 })
  })

  it('stores no private key', async () => {
    await startAuthority().issue({ ...server, publicKey: spki() })
    const { items } = await store.all('ca', { limit: 10 })
    expect(items).toHaveLength(1)
    expect(Object.keys(items[0]?.body as object).sort()).toEqual(['certificate', 'created'])
    expect(JSON.stringify(items)).not.toContain('PRIVATE')
  })
})
