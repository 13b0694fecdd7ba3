import { describe, expect, it } from '@jest/globals'
import { CompactEncrypt, compactDecrypt, FlattenedEncrypt, flattenedDecrypt } from 'jose'
import { compactJwe, decryptJwe, encryptJwe, readCompactJwe } from '../../../lib/kit/jwe.ts'

const key = new Uint8Array(32).fill(7)
const encoder = new TextEncoder()
const decoder = new TextDecoder()
const TEXT = 'grün ✓'
const base64url = (text: string) => Buffer.from(text).toString('base64url')

describe('a JWE', () => {
  it('is one that another library opens, with its additional data', async () => {
    const jwe = { ...encryptJwe(TEXT, key, { aad: 'outside' }), aad: base64url('outside') }
    expect(decoder.decode((await flattenedDecrypt(jwe, key)).plaintext)).toBe(TEXT)
  })

  it('of another library is opened', async () => {
    const {
      iv = '',
      tag = '',
      ...made
    } = await new FlattenedEncrypt(encoder.encode(TEXT))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
      .setAdditionalAuthenticatedData(encoder.encode('outside'))
      .encrypt(key)
    expect(decryptJwe({ ...made, protected: made.protected ?? '', iv, tag }, key, 'outside')).toBe(TEXT)
  })

  it('in its compact form is read and written as others do', async () => {
    const ours = compactJwe(encryptJwe(TEXT, key, { kid: 'k1' }))
    const { plaintext, protectedHeader } = await compactDecrypt(ours, key)
    expect([decoder.decode(plaintext), protectedHeader]).toEqual([TEXT, { alg: 'dir', enc: 'A256GCM', kid: 'k1' }])
    const header = { alg: 'dir', enc: 'A256GCM', kid: 'k2' }
    const { jwe, kid } = readCompactJwe(
      await new CompactEncrypt(encoder.encode(TEXT)).setProtectedHeader(header).encrypt(key),
    )
    expect([decryptJwe(jwe, key), kid]).toEqual([TEXT, 'k2'])
  })

  it('never has the same initialisation vector', () => {
    const vectors = Array.from({ length: 100 }, () => encryptJwe(TEXT, key).iv)
    expect(new Set(vectors).size).toBe(100)
  })

  it.each<[string, Record<string, string>]>([
    ['of another algorithm', { protected: base64url('{"alg":"A256KW","enc":"A256GCM"}') }],
    ['of another cipher', { protected: base64url('{"alg":"dir","enc":"A128GCM"}') }],
    ['with an extension', { protected: base64url('{"alg":"dir","enc":"A256GCM","crit":["x"],"x":1}') }],
    ['with another header', { protected: base64url('{"alg":"dir","enc":"A256GCM","kid":"k1"}') }],
    ['with a short tag', { tag: 'AAAA' }],
    ['with no tag', { tag: '' }],
    ['with a short vector', { iv: 'AAAA' }],
    ['with another text', { ciphertext: 'AAAA' }],
  ])('%s does not open', (_what, change) => {
    expect(() => decryptJwe({ ...encryptJwe(TEXT, key), ...change }, key)).toThrow()
  })

  it('does not open by its first bytes of the tag', () => {
    const jwe = encryptJwe(TEXT, key)
    expect(() => decryptJwe({ ...jwe, tag: jwe.tag.slice(0, 6) }, key)).toThrow()
  })

  it('does not open with other additional data, with none, or with another key', () => {
    const jwe = encryptJwe(TEXT, key, { aad: 'outside' })
    expect(() => decryptJwe(jwe, key, 'other')).toThrow()
    expect(() => decryptJwe(jwe, key)).toThrow()
    expect(() => decryptJwe(jwe, new Uint8Array(32), 'outside')).toThrow()
  })

  it.each(['', 'a.b.c', 'a.b.c.d.e', '....', `${compactJwe(encryptJwe(TEXT, key))}.more`])('is not %j', text => {
    expect(() => readCompactJwe(text)).toThrow()
  })
})
