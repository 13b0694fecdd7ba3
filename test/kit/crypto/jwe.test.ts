import { describe, expect, it } from '@jest/globals'
import { CompactEncrypt, compactDecrypt, FlattenedEncrypt, flattenedDecrypt } from 'jose'
import { compactJwe, decryptJwe, encryptJwe, readCompactJwe } from '../../../lib/kit/crypto/jwe.ts'

const key = new Uint8Array(32).fill(7)
const encoder = new TextEncoder()
const decoder = new TextDecoder()
const TEXT = 'grün ✓'
const base64url = (text: string) => Buffer.from(text).toString('base64url')

describe('a JWE', () => {
  it('can be decrypted by another library, with its additional data', async () => {
    const jwe = { ...encryptJwe(TEXT, key, { aad: 'outside' }), aad: base64url('outside') }
    expect(decoder.decode((await flattenedDecrypt(jwe, key)).plaintext)).toBe(TEXT)
  })

  it('of another library can be decrypted', async () => {
    const {
      iv = '',
      tag = '',
      ...parts
    } = await new FlattenedEncrypt(encoder.encode(TEXT))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
      .setAdditionalAuthenticatedData(encoder.encode('outside'))
      .encrypt(key)
    expect(decryptJwe({ ...parts, protected: parts.protected ?? '', iv, tag }, key, 'outside')).toBe(TEXT)
  })

  it('has a compact form that other libraries read and write', async () => {
    const ours = compactJwe(encryptJwe(TEXT, key, { kid: 'k1' }))
    const { plaintext, protectedHeader } = await compactDecrypt(ours, key)
    expect([decoder.decode(plaintext), protectedHeader]).toEqual([TEXT, { alg: 'dir', enc: 'A256GCM', kid: 'k1' }])
    const header = { alg: 'dir', enc: 'A256GCM', kid: 'k2' }
    const { jwe, kid } = readCompactJwe(
      await new CompactEncrypt(encoder.encode(TEXT)).setProtectedHeader(header).encrypt(key),
    )
    expect([decryptJwe(jwe, key), kid]).toEqual([TEXT, 'k2'])
  })

  it('never reuses an initialization vector', () => {
    const vectors = Array.from({ length: 100 }, () => encryptJwe(TEXT, key).iv)
    expect(new Set(vectors).size).toBe(100)
  })

  it.each<[string, Record<string, string>]>([
    ['with another algorithm', { protected: base64url('{"alg":"A256KW","enc":"A256GCM"}') }],
    ['with another cipher', { protected: base64url('{"alg":"dir","enc":"A128GCM"}') }],
    ['with an extension', { protected: base64url('{"alg":"dir","enc":"A256GCM","crit":["x"],"x":1}') }],
    ['with another header', { protected: base64url('{"alg":"dir","enc":"A256GCM","kid":"k1"}') }],
    ['with a short tag', { tag: 'AAAA' }],
    ['with no tag', { tag: '' }],
    ['with a short vector', { iv: 'AAAA' }],
    ['with another text', { ciphertext: 'AAAA' }],
  ])('cannot be decrypted %s', (_name, change) => {
    expect(() => decryptJwe({ ...encryptJwe(TEXT, key), ...change }, key)).toThrow()
  })

  it('cannot be decrypted with a truncated tag', () => {
    const jwe = encryptJwe(TEXT, key)
    expect(() => decryptJwe({ ...jwe, tag: jwe.tag.slice(0, 6) }, key)).toThrow()
  })

  it('cannot be decrypted with other or no additional data, or with another key', () => {
    const jwe = encryptJwe(TEXT, key, { aad: 'outside' })
    expect(() => decryptJwe(jwe, key, 'other')).toThrow()
    expect(() => decryptJwe(jwe, key)).toThrow()
    expect(() => decryptJwe(jwe, new Uint8Array(32), 'outside')).toThrow()
  })

  it.each(['', 'a.b.c', 'a.b.c.d.e', '....', `${compactJwe(encryptJwe(TEXT, key))}.more`])(
    'cannot be read from %j',
    text => {
      expect(() => readCompactJwe(text)).toThrow()
    },
  )
})
