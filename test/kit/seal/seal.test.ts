import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { derivedKeys } from '../../../lib/kit/keys.ts'
import { BadSeal, derivedEnd, type Envelope, type Outer, readEnvelope, sealer } from '../../../lib/kit/seal.ts'

const master = (id: string, fill: number) => ({ id, bytes: new Uint8Array(32).fill(fill) })
const secretsOf = (key: { id: string; bytes: Uint8Array }) => ({
  current: async () => key,
  byId: async (id: string) => (id === key.id ? key : undefined),
})
const end = derivedEnd(derivedKeys(secretsOf(master('k1', 1))))
const seals = sealer(end)

const outer: Outer = { subject: 'guest:a', generation: 1, direction: 'down', kind: 'query', id: 'q1', expires: 5 }

describe('sealing', () => {
  it('gives back any JSON', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async value => {
        const opened = await seals.open(readEnvelope(await seals.seal(outer, value)))
        expect(JSON.stringify(opened)).toBe(JSON.stringify(value))
      }),
    )
  })

  it('shows nothing of what it closes', async () => {
    expect(await seals.seal(outer, { password: 'canary-7' })).not.toContain('canary')
  })

  it.each<Partial<Outer>>([
    { subject: 'guest:b' },
    { generation: 2 },
    { direction: 'up' },
    { kind: 'command' },
    { id: 'q2' },
    { expires: 6 },
  ])('refuses a message whose outside was changed: %j', async change => {
    const envelope = readEnvelope(await seals.seal(outer, 'wish'))
    await expect(seals.open({ ...envelope, ...change })).rejects.toThrow(BadSeal)
  })

  it('refuses a message that was flipped or cut anywhere, and never throws anything else', async () => {
    const whole = await seals.seal(outer, 'wish')
    const open = async (body: string) => seals.open(readEnvelope(body))
    await fc.assert(
      fc.asyncProperty(
        fc.nat(whole.length - 1),
        fc.string({ minLength: 1, maxLength: 1 }),
        fc.boolean(),
        async (at, other, cut) => {
          const body = cut ? whole.slice(0, at) : `${whole.slice(0, at)}${other}${whole.slice(at + 1)}`
          if (body === whole) return
          // base64url ends may have spare bits, and JSON spare blanks: what opens must be what was closed.
          const result = await open(body).catch((error: unknown) => error)
          expect(result === 'wish' || result instanceof BadSeal).toBe(true)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('has a key for each subject, generation and direction, and none without the master key', async () => {
    const keys = await Promise.all([
      end.key('k1', 'guest:a', 1, 'down'),
      end.key('k1', 'guest:a', 1, 'up'),
      end.key('k1', 'guest:a', 2, 'down'),
      end.key('k1', 'guest:b', 1, 'down'),
      // Parts that would collide if they were only joined.
      end.key('k1', 'guest:a1', 1, 'down'),
      end.key('k1', 'guest:a', 11, 'down'),
    ])
    expect(new Set(keys.map(key => Buffer.from(key).toString('hex'))).size).toBe(keys.length)
    const other = sealer(derivedEnd(derivedKeys(secretsOf(master('k2', 2)))))
    await expect(other.open(readEnvelope(await seals.seal(outer, 'wish')))).rejects.toThrow(BadSeal)
  })

  it('has no plain-text fallback', async () => {
    const plain = {
      ...outer,
      kid: 'k1',
      jwe: { protected: '', iv: '', ciphertext: Buffer.from('"wish"').toString('base64url'), tag: '' },
    }
    await expect(seals.open(plain as Envelope)).rejects.toThrow(BadSeal)
    expect(() => readEnvelope('{"method":"prepare"}')).toThrow(BadSeal)
    expect(() => readEnvelope('not json')).toThrow(BadSeal)
  })
})
