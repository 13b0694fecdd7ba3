import { describe, expect, it } from '@jest/globals'
import { hashPassword, isPassword } from '../../../../lib/platform/identity/builtin/passwords.ts'
import { seededRandom } from '../../../kit/random.ts'
import { cpuMs } from './cpu.ts'

describe('password hashes', () => {
  it('are salted scrypt with its parameters and match only their password', async () => {
    const random = seededRandom(1)
    const [first, second] = [await hashPassword('päss', random), await hashPassword('päss', random)]
    expect(first).toMatchObject({ n: 16384, r: 8, p: 1 })
    expect(first.salt).not.toBe(second.salt)
    expect(first.hash).not.toBe(second.hash)
    expect(await isPassword('päss', first)).toBe(true)
    expect(await isPassword('pass', first)).toBe(false)
    expect(await isPassword('', first)).toBe(false)
  })

  it('are computed with the parameters that are stored with them', async () => {
    const stored = { n: 1024, r: 8, p: 2, salt: 'c2FsdA', hash: 'AAAA' }
    expect(await isPassword('x', stored)).toBe(false)
  })

  it('are also computed for a user who does not exist', async () => {
    const hash = await hashPassword('x', seededRandom(1))
    const timed = (stored: typeof hash | undefined) =>
      cpuMs(async () => expect(await isPassword('y', stored)).toBe(false))
    const [existing, missing] = [await timed(hash), await timed(undefined)]
    expect(missing).toBeGreaterThan(existing / 5)
  })
})
