import { beforeEach, describe, expect, it } from '@jest/globals'
import { ActiveCredentials } from '../../guest-agent/active-credentials.ts'
import type { EnrolAnswer } from '../../lib/contracts/enrol.ts'
import { type VirtualClock, virtualClock } from '../kit/virtual-clock.ts'

const text = (word: string) => Buffer.from(word).toString('base64url')

describe("an agent's credentials", () => {
  let clock: VirtualClock
  let kid: string
  let renewals: number
  let credentials: ActiveCredentials
  const answer = (): EnrolAnswer => ({
    topic: 't',
    conductor: 'c',
    access: { kind: 'socket', address: '/q', token: 't' },
    expires: clock.now() + 3_600_000,
    kid,
    keys: { down: text(`down ${kid}`), up: text(`up ${kid}`) },
    issued: 0,
  })
  const keyOf = async (id: string, direction: 'down' | 'up' = 'down') =>
    Buffer.from(await credentials.sealKeys().key(id, 'guest:i', 1, direction)).toString()
  beforeEach(async () => {
    clock = virtualClock()
    kid = 'k1'
    renewals = 0
    const enrolment = {
      current: () => undefined,
      renew: async () => {
        renewals++
        return answer()
      },
    }
    credentials = await ActiveCredentials.obtain(enrolment, clock, new AbortController().signal)
  })

  it('are renewed at once when a message of another master key comes, once for all that come', async () => {
    kid = 'k2'
    expect(await Promise.all([keyOf('k2'), keyOf('k2'), keyOf('k2', 'up')])).toEqual(['down k2', 'down k2', 'up k2'])
    expect(renewals).toBe(2)
    expect(await credentials.sealKeys().kid()).toBe('k2')
    expect(await keyOf('k1')).toBe('down k1')
  })

  it('are renewed when an earlier master key is current again, though its messages can be opened', async () => {
    kid = 'k2'
    await keyOf('k2')
    kid = 'k1'
    await clock.advance(10_000)
    expect(await keyOf('k1')).toBe('down k1')
    await clock.advance(1)
    expect(await credentials.sealKeys().kid()).toBe('k1')
  })

  it('are not renewed more than every 10 s for keys that nobody gives', async () => {
    for (let round = 0; round < 50; round++) await expect(keyOf(`forged-${round}`)).rejects.toThrow(/unknown key/)
    expect(renewals).toBe(2)
    await clock.advance(10_000)
    kid = 'k2'
    expect(await keyOf('k2')).toBe('down k2')
  })
})
