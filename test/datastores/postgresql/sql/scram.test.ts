import { createHash, createHmac } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import { saslPrepare, scramVerifier } from '../../../../lib/datastores/postgresql/sql/scram.ts'

const hmac = (key: Uint8Array, text: string) => createHmac('sha256', key).update(text).digest()
const decoded = (text: string | undefined) => Buffer.from(text ?? '', 'base64')

describe('scramVerifier', () => {
  it('gives the keys of the exchange in RFC 7677', async () => {
    const verifier = await scramVerifier('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'))
    const [, storedKey, serverKey] =
      /^SCRAM-SHA-256\$4096:W22ZaJ0SNY7soEsUEjb6gQ==\$([^:]+):([^:]+)$/.exec(verifier) ?? []
    const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
    const message = `n=user,r=rOprNGfwEbeRWgbNEkqO,r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=${nonce}`

    expect(hmac(decoded(serverKey), message).toString('base64')).toBe('6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')
    // The client's proof is its key XOR a signature; the server keeps that key's hash.
    const signature = hmac(decoded(storedKey), message)
    const proof = Buffer.from('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=', 'base64')
    const clientKey = proof.map((byte, index) => byte ^ (signature[index] ?? 0))
    expect(createHash('sha256').update(clientKey).digest('base64')).toBe(storedKey)
  })

  it('does not contain the password, and differs with the salt', async () => {
    const first = await scramVerifier('correct horse', Buffer.alloc(16, 1))
    const second = await scramVerifier('correct horse', Buffer.alloc(16, 2))
    expect(first).not.toContain('horse')
    expect(first.split('$')[2]).not.toBe(second.split('$')[2])
  })
})

describe('saslPrepare', () => {
  it.each([
    ['I\u00ADX', 'IX', 'a soft hyphen is mapped to nothing'],
    ['\u00AA', 'a', 'compatibility characters are folded'],
    ['\u2168', 'IX', 'so are numerals'],
    ['a\u00A0b', 'a b', 'other spaces become spaces'],
    ['e\u0301', '\u00E9', 'accents are composed'],
    ['\u0007', '\u0007', 'ASCII stands as it is'],
    ['\u0627\u0031', '\u0627\u0031', 'mixed directions are forbidden: raw'],
    ['\u00AA\u0085', '\u00AA\u0085', 'control characters are forbidden: raw'],
    ['\u{1F512}\u00AA', '\u{1F512}\u00AA', 'newer than Unicode 3.2 is forbidden: raw'],
    ['\u{1F130}', '\u{1F130}', 'also when it normalizes to what is allowed'],
    ['\u00AD', '\u00AD', 'nothing left is forbidden: raw'],
  ])('turns %j into %j: %s', (password, expected) => {
    expect(saslPrepare(password)).toBe(expected)
  })
})
