import { beforeEach, describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { derivedKeys } from '../../../lib/kit/crypto/keys.ts'
import { secret } from '../../../lib/kit/crypto/secret.ts'
import { type Vault, vault } from '../../../lib/kit/crypto/vault.ts'
import { masterKey, secretsOf } from '../secrets.ts'

const User = z.object({ name: z.string(), password: secret(z.string()) })
const Request = z.object({ users: z.array(User) })

describe('the vault, with a new master key', () => {
  let masters: ReturnType<typeof masterKey>[]
  let secrets: Vault
  beforeEach(() => {
    masters = [masterKey('k1', 1)]
    secrets = vault(derivedKeys(secretsOf(masters)))
  })
  const request = (name = 'ann') => ({ users: [{ name, password: 'pw' }] })

  it('encrypts secrets again, which then need the new key only', async () => {
    const locked = await secrets.lock(Request, request(), 'p/saga#1')
    masters.push(masterKey('k2', 2))
    const { value, renewed } = await secrets.renew(locked, 'p/saga#1')
    expect(renewed).toBe(1)
    masters.shift()
    expect(await secrets.unlock(Request, value, 'p/saga#1')).toEqual(request())
    await expect(secrets.unlock(Request, locked, 'p/saga#1')).rejects.toThrow(/unknown key/)
    expect(await secrets.renew(value, 'p/saga#1')).toEqual({ value, renewed: 0 })
  })

  it('leaves alone what a tenant made to look like a secret, or took from elsewhere', async () => {
    const other = (await secrets.lock(User, { name: 'x', password: 'pw' }, 'p/saga#2')) as { password: string }
    const forged = `${Buffer.from('{"alg":"dir","enc":"A256GCM","kid":"k1"}').toString('base64url')}..AAAA.AAAA.AAAA`
    masters.push(masterKey('k2', 2))
    for (const name of [other.password, forged, 'eyJ', 'eyJhbGciOiJub25lIn0..', '']) {
      const value = { ...request(name), rest: [null, 1, true, name] }
      expect(await secrets.renew(value, 'p/saga#1')).toEqual({ value, renewed: 0 })
    }
  })
})
