import { describe, expect, it } from '@jest/globals'
import type { Caller, Identity } from '../../lib/platform/identity/identity.ts'

/** A backend with one member of one project, made afresh for each case. */
export interface IdentityCase {
  identity: Identity
  /** Who the tokens are of; without `expires`. */
  caller: Omit<Caller, 'expires'>
  /** A fresh token, and when it ends in milliseconds since the epoch. */
  token(): Promise<{ token: string; expires: number }>
  /** A token of the same user without a project. */
  unscoped(): Promise<string>
  /** A token that another installation made, whose users and keys have the same ids. */
  foreign(): Promise<string>
  revoke(token: string): Promise<void>
  /** Moves the backend's clock on to that time. */
  moveTo(time: number): Promise<void>
}

/** What every backend of Identity keeps. */
export function identityCases(name: string, make: () => Promise<IdentityCase>): void {
  describe(`identity: ${name}`, () => {
    it('tells who a good token is of', async () => {
      const { identity, token, caller } = await make()
      const good = await token()
      expect(await identity.verify(good.token)).toEqual({ ...caller, expires: good.expires })
    })

    it('refuses a token from the moment it ends', async () => {
      const { identity, token, moveTo } = await make()
      const good = await token()
      await moveTo(good.expires - 1)
      expect(await identity.verify(good.token)).toBeDefined()
      await moveTo(good.expires)
      expect(await identity.verify(good.token)).toBeUndefined()
    })

    it('refuses a revoked token at once, and no other', async () => {
      const { identity, token, revoke } = await make()
      const [one, other] = [await token(), await token()]
      await revoke(one.token)
      expect(await identity.verify(one.token)).toBeUndefined()
      expect(await identity.verify(other.token)).toBeDefined()
      await revoke(one.token)
      expect(await identity.verify(one.token)).toBeUndefined()
    })

    it('refuses a token without a project', async () => {
      const { identity, unscoped } = await make()
      expect(await identity.verify(await unscoped())).toBeUndefined()
    })

    it('refuses a token of another installation', async () => {
      const { identity, foreign } = await make()
      expect(await identity.verify(await foreign())).toBeUndefined()
    })

    it('refuses a token of which any part was changed', async () => {
      const { identity, token } = await make()
      const good = (await token()).token
      for (let at = 0; at < good.length; at++) {
        // The last character of a part may hold bits that do not count: it is made quite another one.
        const other = good[at] === 'A' ? 'z' : 'A'
        const changed = good.slice(0, at) + other + good.slice(at + 1)
        expect([at, await identity.verify(changed)]).toEqual([at, undefined])
      }
      for (const cut of [1, 10, good.length >> 1]) expect(await identity.verify(good.slice(0, -cut))).toBeUndefined()
      expect(await identity.verify(`${good}A`)).toBeUndefined()
      expect(await identity.verify(` ${good}`)).toBeUndefined()
    })

    it('refuses a token that says it needs no signature', async () => {
      const { identity, token } = await make()
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
      const { identity } = await make()
      expect(await identity.verify(garbage)).toBeUndefined()
    })

    it('refuses a very long token, fast', async () => {
      const { identity, token } = await make()
      const good = (await token()).token
      const long = [`${good}${'A'.repeat(10_000)}`, 'A'.repeat(5_000_000), '.'.repeat(5_000_000)]
      const started = process.cpuUsage()
      for (const each of long) expect(await identity.verify(each)).toBeUndefined()
      const { user, system } = process.cpuUsage(started)
      expect(user + system).toBeLessThan(1_000_000)
    })
  })
}
