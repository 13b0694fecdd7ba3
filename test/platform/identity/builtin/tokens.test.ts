import { hkdfSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { CompactSign } from 'jose'
import { builtinIdentity } from '../../../../lib/platform/identity/builtin/identity.ts'
import { claimsOf, fixedSecrets, type Service, START, service } from '../../../keystone/service.ts'
import { seededRandom } from '../../../kit/random.ts'
import { secretsOf } from '../../../kit/secrets.ts'

const HOUR = 3_600_000

describe('builtin tokens', () => {
  let shared: Service
  beforeAll(async () => {
    shared = await service()
  })
  afterAll(() => shared.store.close())

  const key = () => new Uint8Array(hkdfSync('sha256', new Uint8Array(32).fill(1), '', 'coffer/identity/token', 32))
  const payloadOf = (token: string) => Buffer.from(token.split('.')[1] ?? '', 'base64url')
  const issueToken = async () => (await shared.identity.tokens.issue(claimsOf(shared.demo))).token

  it('last eight hours, or as long as requested, in whole seconds', async () => {
    const usual = await shared.identity.tokens.issue(claimsOf(shared.demo))
    expect(usual.claims.expires).toBe(START + 8 * HOUR)
    const short = await service({ lifetimeMs: 90_500 })
    expect((await short.identity.tokens.issue(claimsOf(short.demo))).claims.expires).toBe(START + 90_000)
    const bounded = await shared.identity.tokens.issue({ ...claimsOf(shared.demo), expires: START + 5_999 })
    expect(bounded.claims.expires).toBe(START + 5_000)
  })

  it('are shorter than 600 characters', async () => {
    expect((await issueToken()).length).toBeLessThan(600)
  })

  it('are refused if they are longer than 8 KiB, even with a valid signature', async () => {
    const tokenOf = async (padding: number) =>
      (await shared.identity.tokens.issue(claimsOf(shared.demo, ['x'.repeat(padding)]))).token
    expect(await shared.identity.verify(await tokenOf(5_700))).toBeDefined()
    expect(await shared.identity.verify(await tokenOf(6_200))).toBeUndefined()
  })

  it('are accepted only if signed with the derived key and HS256', async () => {
    const payload = payloadOf(await issueToken())
    const sign = (alg: string, kid: string, bytes: Uint8Array) =>
      new CompactSign(payload).setProtectedHeader({ alg, kid }).sign(bytes)
    const long = Buffer.concat([key(), key()])
    expect(await shared.identity.verify(await sign('HS256', 'k1', key()))).toBeDefined()
    expect(await shared.identity.verify(await sign('HS512', 'k1', long))).toBeUndefined()
    expect(await shared.identity.verify(await sign('HS256', 'k2', key()))).toBeUndefined()
    expect(await shared.identity.verify(await sign('HS256', 'k1', new Uint8Array(32).fill(1)))).toBeUndefined()
    expect(await shared.identity.verify(await sign('HS256', 'k1', new Uint8Array(32)))).toBeUndefined()
  })

  it('are refused if their content is malformed, even with a valid signature', async () => {
    for (const content of ['{}', 'null', '{"jti":1}', '[]']) {
      const token = new CompactSign(Buffer.from(content)).setProtectedHeader({ alg: 'HS256', kid: 'k1' }).sign(key())
      expect(await shared.identity.verify(await token)).toBeUndefined()
    }
  })

  it('of an older master key are valid while that key exists', async () => {
    const old = { id: 'old', bytes: new Uint8Array(32).fill(3) }
    const next = { id: 'next', bytes: new Uint8Array(32).fill(4) }
    const masterKeys = [old]
    const secrets = secretsOf(masterKeys)
    const { store, clock } = shared
    const before = builtinIdentity({ store, secrets, clock, random: seededRandom(9) })
    const { token } = await before.tokens.issue(claimsOf(shared.demo))
    masterKeys.push(next)
    const after = builtinIdentity({ store, secrets, clock, random: seededRandom(10) })
    expect(await after.verify(token)).toBeDefined()
    const young = await before.tokens.issue(claimsOf(shared.demo))
    masterKeys.shift()
    // In the process that has verified it before, too.
    for (const identity of [before, after]) expect(await identity.verify(token)).toBeUndefined()
    expect(await before.verify(young.token)).toBeDefined()
  })

  it('are not refused but fail if the secrets or the store do not answer', async () => {
    const token = await issueToken()
    const fail = () => Promise.reject(new Error('down'))
    const { clock, store } = shared
    const random = seededRandom(12)
    const noSecrets = builtinIdentity({
      store,
      clock,
      random,
      secrets: { ...secretsOf([]), current: fail, byId: fail },
    })
    await expect(noSecrets.verify(token)).rejects.toThrow('down')
    const noStore = builtinIdentity({ clock, random, secrets: fixedSecrets(1), store: { ...store, get: fail } })
    await expect(noStore.verify(token)).rejects.toThrow('down')
    expect(await noStore.verify('garbage')).toBeUndefined()
  })
})

describe('a builtin token', () => {
  it.each<[string, (service: Service) => Promise<void>]>([
    ['when the password changes', ({ identity, demo }) => identity.accounts.setPassword(demo.user.id, 'another')],
    ['when the user is disabled', ({ identity, demo }) => identity.accounts.setEnabled(demo.user.id, false)],
    [
      'for good when the user is disabled and enabled again',
      async ({ identity, demo }) => {
        await identity.accounts.setEnabled(demo.user.id, false)
        await identity.accounts.setEnabled(demo.user.id, true)
      },
    ],
    [
      'when a role is revoked',
      ({ identity, demo }) => identity.accounts.setRoles(demo.user.id, demo.project.id, ['reader']),
    ],
  ])('ends %s', async (_, change) => {
    const fresh = await service()
    const { token } = await fresh.identity.tokens.issue(claimsOf(fresh.demo))
    const others = await fresh.identity.tokens.issue(claimsOf(fresh.alt))
    expect(await fresh.identity.verify(token)).toBeDefined()
    await change(fresh)
    expect(await fresh.identity.verify(token)).toBeUndefined()
    expect(await fresh.identity.verify(others.token)).toBeDefined()
  })

  it('stays valid when a role is added', async () => {
    const { identity, demo } = await service()
    const { token } = await identity.tokens.issue(claimsOf(demo))
    await identity.accounts.setRoles(demo.user.id, demo.project.id, ['member', 'reader', 'writer'])
    expect(await identity.verify(token)).toBeDefined()
  })

  it('leaves no record of a revocation behind after its expiry', async () => {
    const { identity, demo, clock, store } = await service()
    const { claims } = await identity.tokens.issue(claimsOf(demo))
    await identity.tokens.revoke(claims)
    expect((await store.all('revoked', { limit: 10 })).items).toHaveLength(1)
    await clock.advance(8 * HOUR)
    expect((await store.all('revoked', { limit: 10 })).items).toHaveLength(0)
  })
})
