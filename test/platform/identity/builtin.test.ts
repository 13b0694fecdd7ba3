import { hkdfSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { CompactSign } from 'jose'
import { builtinIdentity } from '../../../lib/platform/identity/builtin.ts'
import { identityCases } from '../../cases/identity.ts'
import { claimsOf, fixedSecrets, type Service, START, service } from '../../identity/service.ts'
import { seededRandom } from '../../kit/random.ts'

const HOUR = 3_600_000

identityCases('builtin', async () => {
  const { identity, demo, clock } = await service()
  const other = await service({ key: 2 })
  const roles = ['member', 'reader']
  const issue = async () => {
    const { token, claims } = await identity.tokens.issue(claimsOf(demo, roles))
    return { token, expires: claims.expires }
  }
  return {
    identity,
    caller: { user: demo.user, project: demo.project, roles },
    token: issue,
    async unscoped() {
      const { project: _, ...claims } = claimsOf(demo, roles)
      return (await identity.tokens.issue(claims)).token
    },
    foreign: async () => (await other.identity.tokens.issue(claimsOf(other.demo, roles))).token,
    async revoke(token) {
      const claims = await identity.tokens.read(token)
      if (claims) await identity.tokens.revoke(claims)
    },
    moveTo: time => clock.advance(time - clock.now()),
  }
})

describe('builtin tokens', () => {
  let made: Service
  beforeAll(async () => {
    made = await service()
  })
  afterAll(() => made.store.close())

  const key = () => new Uint8Array(hkdfSync('sha256', new Uint8Array(32).fill(1), '', 'coffer/identity/token', 32))
  const payloadOf = (token: string) => Buffer.from(token.split('.')[1] ?? '', 'base64url')
  const issued = async () => (await made.identity.tokens.issue(claimsOf(made.demo))).token

  it('last eight hours, or as long as asked for, in whole seconds', async () => {
    const usual = await made.identity.tokens.issue(claimsOf(made.demo))
    expect(usual.claims.expires).toBe(START + 8 * HOUR)
    const short = await service({ lifetimeMs: 90_500 })
    expect((await short.identity.tokens.issue(claimsOf(short.demo))).claims.expires).toBe(START + 90_000)
    const bounded = await made.identity.tokens.issue({ ...claimsOf(made.demo), expires: START + 5_999 })
    expect(bounded.claims.expires).toBe(START + 5_000)
  })

  it('are small', async () => {
    expect((await issued()).length).toBeLessThan(600)
  })

  it('of more than 8 KiB are refused, though well signed', async () => {
    const signed = async (padding: number) =>
      (await made.identity.tokens.issue(claimsOf(made.demo, ['x'.repeat(padding)]))).token
    expect(await made.identity.verify(await signed(5_700))).toBeDefined()
    expect(await made.identity.verify(await signed(6_200))).toBeUndefined()
  })

  it('are signed with the derived key, HS256 and nothing else', async () => {
    const payload = payloadOf(await issued())
    const signed = (alg: string, kid: string, bytes: Uint8Array) =>
      new CompactSign(payload).setProtectedHeader({ alg, kid }).sign(bytes)
    const long = Buffer.concat([key(), key()])
    expect(await made.identity.verify(await signed('HS256', 'k1', key()))).toBeDefined()
    expect(await made.identity.verify(await signed('HS512', 'k1', long))).toBeUndefined()
    expect(await made.identity.verify(await signed('HS256', 'k2', key()))).toBeUndefined()
    expect(await made.identity.verify(await signed('HS256', 'k1', new Uint8Array(32).fill(1)))).toBeUndefined()
    expect(await made.identity.verify(await signed('HS256', 'k1', new Uint8Array(32)))).toBeUndefined()
  })

  it('with a good signature and a strange content are refused', async () => {
    for (const content of ['{}', 'null', '{"jti":1}', '[]']) {
      const token = new CompactSign(Buffer.from(content)).setProtectedHeader({ alg: 'HS256', kid: 'k1' }).sign(key())
      expect(await made.identity.verify(await token)).toBeUndefined()
    }
  })

  it('of an older master key are good while the key is there', async () => {
    const old = { id: 'old', bytes: new Uint8Array(32).fill(3) }
    const next = { id: 'next', bytes: new Uint8Array(32).fill(4) }
    let [current, known] = [old, [old, next]]
    const secrets = { current: async () => current, byId: async (id: string) => known.find(each => each.id === id) }
    const { store, clock } = made
    const before = builtinIdentity({ store, secrets, clock, random: seededRandom(9) })
    const { token } = await before.tokens.issue(claimsOf(made.demo))
    current = next
    const after = builtinIdentity({ store, secrets, clock, random: seededRandom(10) })
    expect(await after.verify(token)).toBeDefined()
    known = [next]
    expect(await builtinIdentity({ store, secrets, clock, random: seededRandom(11) }).verify(token)).toBeUndefined()
  })

  it('are not blamed for secrets or a store that do not answer', async () => {
    const token = await issued()
    const down = () => Promise.reject(new Error('down'))
    const { clock, store } = made
    const random = seededRandom(12)
    const noSecrets = builtinIdentity({ store, clock, random, secrets: { current: down, byId: down } })
    await expect(noSecrets.verify(token)).rejects.toThrow('down')
    const noStore = builtinIdentity({ clock, random, secrets: fixedSecrets(1), store: { ...store, get: down } })
    await expect(noStore.verify(token)).rejects.toThrow('down')
    expect(await noStore.verify('garbage')).toBeUndefined()
  })
})

describe('builtin tokens end', () => {
  it.each<[string, (made: Service) => Promise<void>]>([
    ['with the password', ({ identity, demo }) => identity.accounts.setPassword(demo.user.id, 'another')],
    ['when the user is disabled', ({ identity, demo }) => identity.accounts.setEnabled(demo.user.id, false)],
    [
      'for good when the user is disabled and enabled again',
      async ({ identity, demo }) => {
        await identity.accounts.setEnabled(demo.user.id, false)
        await identity.accounts.setEnabled(demo.user.id, true)
      },
    ],
    [
      'when a role is taken away',
      ({ identity, demo }) => identity.accounts.setRoles(demo.user.id, demo.project.id, ['reader']),
    ],
  ])('%s', async (_, end) => {
    const made = await service()
    const { token } = await made.identity.tokens.issue(claimsOf(made.demo))
    const others = await made.identity.tokens.issue(claimsOf(made.alt))
    expect(await made.identity.verify(token)).toBeDefined()
    await end(made)
    expect(await made.identity.verify(token)).toBeUndefined()
    expect(await made.identity.verify(others.token)).toBeDefined()
  })

  it('not when a role is added', async () => {
    const { identity, demo } = await service()
    const { token } = await identity.tokens.issue(claimsOf(demo))
    await identity.accounts.setRoles(demo.user.id, demo.project.id, ['member', 'reader', 'writer'])
    expect(await identity.verify(token)).toBeDefined()
  })

  it('leaving no record of a revocation behind', async () => {
    const { identity, demo, clock, store } = await service()
    const { claims } = await identity.tokens.issue(claimsOf(demo))
    await identity.tokens.revoke(claims)
    expect((await store.all('revoked', { limit: 10 })).items).toHaveLength(1)
    await clock.advance(8 * HOUR)
    expect((await store.all('revoked', { limit: 10 })).items).toHaveLength(0)
  })
})
