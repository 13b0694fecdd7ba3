import { describe, expect, it } from '@jest/globals'
import type { Caller, Identity } from '../../lib/ports/identity.ts'

/** A backend with one member of one project, created for each case. */
export interface IdentityCase {
  identity: Identity
  /** The user of the tokens, without `expires`. */
  caller: Omit<Caller, 'expires'>
  /** A new token, and its expiry in milliseconds since the epoch. */
  token(): Promise<{ token: string; expires: number }>
  /** A token of the same user without a project. */
  unscoped(): Promise<string>
  /** A token of another installation, whose users and keys have the same ids. */
  foreign(): Promise<string>
  revoke(token: string): Promise<void>
  /** Advances the backend's clock to that time. */
  moveTo(time: number): Promise<void>
}

/** What every backend of Identity guarantees. */
export function identityCases(name: string, create: () => Promise<IdentityCase>): void {
  describe(`identity: ${name}`, () => {
    it('returns the user, project and roles of a valid token', async () => {
      const { identity, token, caller } = await create()
      const good = await token()
      expect(await identity.verify(good.token)).toEqual({ ...caller, expires: good.expires })
    })

    it('refuses a token from the moment it expires', async () => {
      const { identity, token, moveTo } = await create()
      const good = await token()
      await moveTo(good.expires - 1)
      expect(await identity.verify(good.token)).toBeDefined()
      await moveTo(good.expires)
      expect(await identity.verify(good.token)).toBeUndefined()
    })

    it('refuses a revoked token at once, and no other', async () => {
      const { identity, token, revoke } = await create()
      const [revoked, other] = [await token(), await token()]
      await revoke(revoked.token)
      expect(await identity.verify(revoked.token)).toBeUndefined()
      expect(await identity.verify(other.token)).toBeDefined()
      await revoke(revoked.token)
      expect(await identity.verify(revoked.token)).toBeUndefined()
    })

    it('refuses a token without a project', async () => {
      const { identity, unscoped } = await create()
      expect(await identity.verify(await unscoped())).toBeUndefined()
    })

    it('refuses a token of another installation', async () => {
      const { identity, foreign } = await create()
      expect(await identity.verify(await foreign())).toBeUndefined()
    })

    it('refuses a token if any part of it was changed', async () => {
      const { identity, token } = await create()
      const good = (await token()).token
      for (let index = 0; index < good.length; index++) {
        // Quite another character, as the last one of a part may hold bits that do not count.
        const other = good[index] === 'A' ? 'z' : 'A'
        const changed = good.slice(0, index) + other + good.slice(index + 1)
        expect([index, await identity.verify(changed)]).toEqual([index, undefined])
      }
      for (const cut of [1, 10, good.length >> 1]) expect(await identity.verify(good.slice(0, -cut))).toBeUndefined()
      expect(await identity.verify(`${good}A`)).toBeUndefined()
      expect(await identity.verify(` ${good}`)).toBeUndefined()
    })

    it('refuses a token that claims to need no signature', async () => {
      const { identity, token } = await create()
      const [, payload = ''] = (await token()).token.split('.')
      for (const alg of ['none', 'None', 'NONE', '']) {
        const header = Buffer.from(JSON.stringify({ alg, typ: 'JWT' })).toString('base64url')
        expect(await identity.verify(`${header}.${payload}.`)).toBeUndefined()
        expect(await identity.verify(`${header}.${payload}`)).toBeUndefined()
      }
    })

    it.each([
      '',
      ' ',
      '.',
      '..',
      '...',
      'notused',
      'null',
      'e30.e30.e30',
      'bnVsbA.bnVsbA.bnVsbA',
      'eyJhbGciOiJIUzI1NiJ9..',
      'eyJhbGciOiJIUzI1NiIsImtpZCI6IngifQ.e30.AAAA',
      '\0',
      '\r\n',
      'ключ',
      '\u{1f511}.\u{1f511}.\u{1f511}',
      '\ud800',
      '__proto__',
      "' OR 1=1 --",
      '../../etc/passwd',
    ])('refuses %j', async garbage => {
      const { identity } = await create()
      expect(await identity.verify(garbage)).toBeUndefined()
    })

    it('refuses a very long token quickly', async () => {
      const { identity, token } = await create()
      const good = (await token()).token
      const long = [`${good}${'A'.repeat(10_000)}`, 'A'.repeat(5_000_000), '.'.repeat(5_000_000)]
      const started = process.cpuUsage()
      for (const each of long) expect(await identity.verify(each)).toBeUndefined()
      const { user, system } = process.cpuUsage(started)
      expect(user + system).toBeLessThan(1_000_000)
    })
  })
}
