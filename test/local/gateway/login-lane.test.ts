import { describe, expect, it } from '@jest/globals'
import { loginLane } from '../../../local/gateway/login-lane.ts'

const PATH = '/identity/v3/auth/tokens'
const lane = (identity: object) => loginLane('POST', PATH, Buffer.from(JSON.stringify({ auth: { identity } })))
const byPassword = (user: object) => lane({ methods: ['password'], password: { user: { ...user, password: 'x' } } })
const bySecret = (login: object) => lane({ methods: ['x'], application_credential: { secret: 'x', ...login } })

describe('the lane of a login', () => {
  it('is its user’s, whatever the password and the way', () => {
    expect(byPassword({ name: 'ann' })).toBe(byPassword({ name: 'ann', domain: { id: 'default' } }))
    expect(bySecret({ name: 'key', user: { name: 'ann' } })).toBe(byPassword({ name: 'ann' }))
    expect(byPassword({ name: 'ann' })).not.toBe(byPassword({ name: 'bob' }))
    expect(bySecret({ id: 'k1' })).not.toBe('')
  })

  it('is one of 256, however many names there are', () => {
    const lanes = Array.from({ length: 5_000 }, (_, index) => byPassword({ name: `user ${index}` }))
    expect(new Set(lanes).size).toBeLessThanOrEqual(256)
  })

  it('is that of everything else, if the body cannot be read or is no login', () => {
    for (const text of ['', '{', '[]', '{"auth":1}', '\0']) expect(loginLane('POST', PATH, Buffer.from(text))).toBe('')
    expect(loginLane('GET', PATH, Buffer.alloc(0))).toBe('')
    expect(loginLane('POST', '/enrol', Buffer.from('{}'))).toBe('')
  })
})
