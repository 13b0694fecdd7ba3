import { describe, expect, it } from '@jest/globals'
import { isLocal } from '../../../local/gateway/limits.ts'

describe('a request for /metrics', () => {
  it.each(['127.0.0.1', '127.4.5.6', '::1', '::ffff:127.0.0.1'])('is local from %s', remote => {
    expect(isLocal({ remote, headers: {} })).toBe(true)
  })
  it.each(['10.0.0.1', '', '::ffff:10.0.0.1', 'fe80::1', '128.0.0.1'])('is not local from %s', remote => {
    expect(isLocal({ remote, headers: {} })).toBe(false)
  })
  it.each(['x-forwarded-for', 'forwarded', 'via', 'x-real-ip'])('is not local through a proxy that sets %s', name => {
    expect(isLocal({ remote: '127.0.0.1', headers: { [name]: '10.0.0.1' } })).toBe(false)
  })
})
