import { generateKeyPairSync } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { keepCertificate } from '../../guest-agent/certificate.ts'
import { derivedKeys } from '../../lib/kit/crypto/keys.ts'
import { type Authority, authority, type IssuedCertificate } from '../../lib/kit/tls/ca.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite/store.ts'
import { seededRandom, silentLog } from '../kit/random.ts'
import { secretsOf } from '../kit/secrets.ts'
import { virtualClock } from '../kit/virtual-clock.ts'

const DAY = 86_400_000
const spki = () =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .publicKey.export({ type: 'spki', format: 'der' })
    .toString('base64')

describe('the keeper of a certificate', () => {
  let clock: ReturnType<typeof virtualClock>
  let ca: Authority
  let stop: AbortController
  let key: string
  let given: IssuedCertificate | undefined
  let address: string
  let renewals: number
  let fail: number
  let used: string[]
  beforeEach(() => {
    clock = virtualClock()
    const master = { id: 'k1', bytes: seededRandom(7).bytes(32) }
    const keys = derivedKeys(secretsOf([master]))
    ca = authority({ keys, store: sqliteStore(':memory:', { clock }), clock, random: seededRandom(1) })
    stop = new AbortController()
    key = spki()
    given = undefined
    address = '127.1.1.1'
    renewals = 0
    fail = 0
    used = []
  })
  afterEach(() => stop.abort())

  const issued = () => ca.issue({ publicKey: key, dns: 'one.coffer.internal', addresses: [address] })
  const keep = () =>
    keepCertificate({
      clock,
      log: silentLog,
      signal: stop.signal,
      current: () => given,
      async renew() {
        renewals += 1
        given = await issued()
      },
      driver: {
        tls_key: async () => key,
        async use_certificate({ certificate }) {
          if (fail-- > 0) throw new Error('the disk is full')
          used.push(certificate)
        },
      },
    })

  it('uses the certificate of the enrolment at once, and requests no other', async () => {
    given = await issued()
    await keep().served
    expect(used).toEqual([given.certificate])
    await clock.advance(19 * DAY)
    expect([renewals, used.length]).toEqual([0, 1])
  })

  it('renews when less than a third of the lifetime is left', async () => {
    given = await issued()
    const { expires } = given
    await keep().served
    await clock.advance(20 * DAY + 2 * 3_600_000)
    expect(renewals).toBe(1)
    expect(clock.now()).toBeLessThan(expires - 9 * DAY)
    expect(used).toHaveLength(2)
    await clock.advance(21 * DAY)
    expect(renewals).toBe(2)
  })

  it('uses a new one when the addresses have changed, not after every enrolment', async () => {
    given = await issued()
    await keep().served
    given = await issued()
    await clock.advance(3_600_000)
    expect(used).toHaveLength(1)
    address = '127.1.1.2'
    given = await issued()
    await clock.advance(3_600_000)
    expect(used).toHaveLength(2)
  })

  it('requests a new one when the current one is for another key', async () => {
    given = await issued()
    key = spki()
    await keep().served
    expect(renewals).toBe(1)
    expect(used).toEqual([given?.certificate])
  })

  it('tries again after a failure, and counts as serving only then', async () => {
    given = await issued()
    fail = 2
    let served = false
    void keep().served.then(() => {
      served = true
    })
    await clock.advance(500)
    expect(served).toBe(false)
    await clock.advance(2_000)
    expect([served, used.length]).toEqual([true, 1])
  })

  it('does not wait for one from a control plane that issues none', async () => {
    const { served } = keepCertificate({
      clock,
      log: silentLog,
      signal: stop.signal,
      current: () => undefined,
      renew: async () => undefined,
      driver: { tls_key: async () => key, use_certificate: () => Promise.reject(new Error('never')) },
    })
    await served
  })
})
