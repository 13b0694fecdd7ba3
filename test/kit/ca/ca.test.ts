import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { beforeEach, describe, expect, it } from '@jest/globals'
import { type Authority, authority } from '../../../lib/kit/ca.ts'
import { derivedKeys } from '../../../lib/kit/keys.ts'
import type { MasterKey } from '../../../lib/platform/secrets/secrets.ts'
import { sqliteStore } from '../../../lib/platform/store/sqlite.ts'
import type { Store } from '../../../lib/platform/store/store.ts'
import { seededRandom } from '../random.ts'
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

describe('the authority', () => {
  let clock: ReturnType<typeof virtualClock>
  let store: Store
  let masters: MasterKey[]
  /** As after a start of the control plane; the last master key is the current one. */
  const started = (on = store): Authority => {
    const secrets = {
      current: async () => masters.at(-1) as MasterKey,
      byId: async (id: string) => masters.find(master => master.id === id),
    }
    return authority({ keys: derivedKeys(secrets), store: on, clock, random: seededRandom(clock.now()) })
  }
  beforeEach(() => {
    clock = virtualClock()
    store = sqliteStore(':memory:', { clock })
    masters = [masterKey('k1', 1)]
  })
  const server = { dns: 'one.coffer.internal', addresses: ['127.80.0.2', 'fd00::1:2', '::1'] }

  it('certifies a key for a name and addresses, for thirty days', async () => {
    const publicKey = spki()
    const { certificate, ca, expires } = await started().issue({ ...server, publicKey })
    const read = new X509Certificate(certificate)
    const [root] = certificatesIn(ca)
    expect(expires).toBe(clock.now() + 30 * DAY)
    expect(read.validToDate.getTime()).toBe(expires)
    expect(read.validFromDate.getTime()).toBe(clock.now() - 3_600_000)
    expect(read.subject).toBe('CN=one.coffer.internal')
    expect(read.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')).toBe(publicKey)
    expect(read.checkHost('one.coffer.internal')).toBe('one.coffer.internal')
    expect(read.checkHost('two.coffer.internal')).toBeUndefined()
    for (const address of server.addresses) expect(read.checkIP(address)).toBe(address)
    expect(read.checkIP('127.80.0.3')).toBeUndefined()
    // For servers only: it is nobody's proof as a client.
    expect(read.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1'])
    expect(read.ca).toBe(false)
    expect(root?.ca).toBe(true)
    expect(root && read.checkIssued(root) && read.verify(root.publicKey)).toBe(true)
    expect(root?.verify(root.publicKey)).toBe(true)
  })

  it('gives every certificate a number of its own', async () => {
    const ca = started()
    const numbers = []
    for (let n = 0; n < 20; n++)
      numbers.push(new X509Certificate((await ca.issue({ ...server, publicKey: spki() })).certificate).serialNumber)
    expect(new Set(numbers).size).toBe(20)
    expect(numbers.every(number => /^[4-7][0-9A-F]{31}$/.test(number))).toBe(true)
  })

  it('is the same after a restart, and another with another master key', async () => {
    const first = await started().bundle()
    await clock.advance(DAY)
    expect(await started().bundle()).toBe(first)
    masters = [masterKey('k1', 2)]
    const other = await started(sqliteStore(':memory:', { clock })).bundle()
    const [mine, theirs] = [first, other].map(pem => certificatesIn(pem)[0])
    expect(mine?.subject).not.toBe(theirs?.subject)
    expect(theirs && mine?.verify(theirs.publicKey)).toBe(false)
  })

  it('is one although two processes begin at once', async () => {
    const [a, b] = await Promise.all([started().bundle(), started().bundle()])
    expect(a).toBe(b)
    expect(certificatesIn(a)).toHaveLength(1)
  })

  it('goes over to a new master key only when clients had thirty days to learn of it', async () => {
    const [old] = certificatesIn(await started().bundle())
    await clock.advance(400 * DAY)
    masters = [masterKey('k1', 1), masterKey('k2', 2)]
    const issuerNow = async () => {
      const { certificate, ca } = await started().issue({ ...server, publicKey: spki() })
      expect(certificatesIn(ca)).toHaveLength(2)
      return new X509Certificate(certificate).issuer
    }
    expect(await issuerNow()).toBe(old?.subject)
    await clock.advance(29 * DAY)
    expect(await issuerNow()).toBe(old?.subject)
    await clock.advance(DAY)
    expect(await issuerNow()).not.toBe(old?.subject)
  })

  it('of a master key that was taken away is no longer trusted, nor used', async () => {
    const [old] = certificatesIn(await started().bundle())
    masters = [masterKey('k2', 2)]
    const { certificate, ca } = await started().issue({ ...server, publicKey: spki() })
    expect(certificatesIn(ca).map(({ subject }) => subject)).toEqual([new X509Certificate(certificate).issuer])
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
    await expect(started().issue({ ...server, publicKey })).rejects.toMatchObject({ status: 400 })
  })

  it('keeps no private key in the store', async () => {
    await started().issue({ ...server, publicKey: spki() })
    const { items } = await store.all('ca', { limit: 10 })
    expect(items).toHaveLength(1)
    expect(Object.keys(items[0]?.body as object).sort()).toEqual(['certificate', 'created'])
    expect(JSON.stringify(items)).not.toContain('PRIVATE')
  })
})
