import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { beforeEach, describe, expect, it } from '@jest/globals'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { enrolSecret } from '../../lib/agents/enrol-secret.ts'
import { enrol } from '../../lib/conductor/enrol.ts'
import { recordState } from '../../lib/platform/machine-state.ts'
import { scenarios, theInstance } from '../laws/scenarios.ts'
import { World } from '../sim/world.ts'

type KeyPair = Awaited<ReturnType<typeof newKeyPair>>
const newKeyPair = () => generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })

async function publicJwk({ publicKey }: KeyPair) {
  const { x = '' } = await exportJWK(publicKey)
  return { kty: 'OKP' as const, crv: 'Ed25519' as const, x }
}

const refused = { status: 401 }
let world: World
let instance: string
let secret: string
beforeEach(async () => {
  world = await new World().open()
  await scenarios.create_instance.begin(world.platform)
  instance = (await theInstance(world))?.id ?? ''
  secret = await enrolSecret(world.platform.keys, instance, 1)
})

/** A proof of possession, by default a valid one. */
interface ProofOptions {
  subject?: string
  audience?: string
  /** Seconds since it was issued. */
  age?: number
  claims?: Record<string, unknown>
}

const signProof = (keyPair: KeyPair, options: ProofOptions = {}) => {
  const { subject = `guest:${instance}`, audience = 'enrol', age = 0, claims = {} } = options
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'EdDSA' })
    .setIssuedAt(Math.floor(world.clock.now() / 1000) - age)
    .setAudience(audience)
    .setSubject(subject)
    .sign(keyPair.privateKey)
}

/** A request with the secret, by default a valid one. */
const secretRequest = async (keyPair: KeyPair) => ({
  instance,
  generation: 1,
  secret,
  publicKey: await publicJwk(keyPair),
})

describe('enrol', () => {
  it('exchanges the secret for topics, keys and credentials', async () => {
    const response = await enrol(world.platform, await secretRequest(await newKeyPair()))
    expect(response).toMatchObject({ topic: `guest-${instance}-1`, conductor: 'conductor', kid: 'k1' })
    expect(Buffer.from(response.keys.down, 'base64url')).toHaveLength(32)
    expect(response.keys.down).not.toBe(response.keys.up)
  })

  it('accepts the secret again with the same key, but with no other', async () => {
    const request = await secretRequest(await newKeyPair())
    const first = await enrol(world.platform, request)
    expect((await enrol(world.platform, request)).keys).toEqual(first.keys)
    const otherKey = await secretRequest(await newKeyPair())
    await expect(enrol(world.platform, otherKey)).rejects.toMatchObject(refused)
  })

  it('refuses the secret after the first report, even with the same key; a signature still renews', async () => {
    const keyPair = await newKeyPair()
    const request = await secretRequest(keyPair)
    await enrol(world.platform, request)
    // The agent reports at its start.
    await world.until('instance', () => scenarios.create_instance.done(world))
    await expect(enrol(world.platform, request)).rejects.toMatchObject(refused)
    const renewed = await enrol(world.platform, { instance, generation: 1, proof: await signProof(keyPair) })
    expect(renewed.topic).toBe(`guest-${instance}-1`)
  })

  it.each([
    ['a wrong secret', { secret: 'x'.repeat(43) }],
    ['an empty secret', { secret: '' }],
    ['another generation', { generation: 2 }],
    ['an unknown instance', { instance: 'no-such' }],
  ])('refuses %s', async (_, change) => {
    const request = { ...(await secretRequest(await newKeyPair())), ...change }
    await expect(enrol(world.platform, request)).rejects.toMatchObject(refused)
  })

  it('refuses an expired secret', async () => {
    await world.clock.advance(31 * 60_000)
    const request = await secretRequest(await newKeyPair())
    await expect(enrol(world.platform, request)).rejects.toMatchObject(refused)
  })

  it('renews with a signature of the same key, and with no other', async () => {
    const keyPair = await newKeyPair()
    const renew = async (signer: KeyPair, options?: ProofOptions) =>
      enrol(world.platform, { instance, generation: 1, proof: await signProof(signer, options) })
    await expect(renew(keyPair)).rejects.toMatchObject(refused)
    await enrol(world.platform, await secretRequest(keyPair))
    expect((await renew(keyPair)).topic).toBe(`guest-${instance}-1`)
    await expect(renew(await newKeyPair())).rejects.toMatchObject(refused)
    await expect(renew(keyPair, { subject: 'guest:other' })).rejects.toMatchObject(refused)
    await expect(renew(keyPair, { audience: 'queue' })).rejects.toMatchObject(refused)
    await expect(renew(keyPair, { age: 600 })).rejects.toMatchObject(refused)
  })
})

describe('enrol with a TLS key', () => {
  const tlsKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .publicKey.export({ type: 'spki', format: 'der' })
    .toString('base64')
  const reportAddress = (name: string, address: string, sequence: number) =>
    recordState(world.store, world.clock.now(), {
      project: 'p1',
      instance,
      name,
      state: { status: 'BUILD', addresses: [{ address, port: 5432, type: 'private' }] },
      sequence,
    })
  const enrolFirst = async (keyPair: KeyPair, extra = {}) =>
    enrol(world.platform, { ...(await secretRequest(keyPair)), tlsKey, ...extra })
  const renew = async (keyPair: KeyPair, claims: Record<string, unknown>, extra = {}) =>
    enrol(world.platform, { instance, generation: 1, proof: await signProof(keyPair, { claims }), ...extra })

  it('issues a certificate for the address that the machine reports', async () => {
    await reportAddress(`server-${instance}-1`, '127.9.9.9', 1)
    const { tls } = await enrolFirst(await newKeyPair())
    const certificate = new X509Certificate(tls?.certificate ?? '')
    expect(certificate.subjectAltName).toBe(`DNS:${instance}.coffer.internal, IP Address:127.9.9.9`)
    expect(certificate.verify(new X509Certificate(tls?.ca ?? '').publicKey)).toBe(true)
    expect(tls?.ca).toBe(await world.platform.authority.bundle())
    expect(tls?.expires).toBe(world.clock.now() + 30 * 86_400_000)
  })

  it('ignores addresses, names and instances that the agent claims', async () => {
    await reportAddress(`server-${instance}-1`, '127.9.9.9', 1)
    await reportAddress('server-other-1', '127.1.1.1', 1)
    const claims = { addresses: ['127.1.1.1'], dns: 'other.coffer.internal', address: '127.1.1.1' }
    const keyPair = await newKeyPair()
    const responses = [await enrolFirst(keyPair, claims), await renew(keyPair, { tls: tlsKey, ...claims }, claims)]
    for (const { tls } of responses) {
      const { subjectAltName } = new X509Certificate(tls?.certificate ?? '')
      expect(subjectAltName).toBe(`DNS:${instance}.coffer.internal, IP Address:127.9.9.9`)
    }
  })

  it('answers 503 until the address is known, and then accepts the same secret', async () => {
    const keyPair = await newKeyPair()
    await expect(enrolFirst(keyPair)).rejects.toMatchObject({ status: 503 })
    await reportAddress(`server-${instance}-1`, '127.9.9.9', 1)
    expect((await enrolFirst(keyPair)).tls).toBeDefined()
  })

  it('issues a new certificate at a renewal, only for a key inside the signed proof', async () => {
    await reportAddress(`server-${instance}-1`, '127.9.9.9', 1)
    const keyPair = await newKeyPair()
    await enrolFirst(keyPair)
    await world.clock.advance(60_000)
    const { tls } = await renew(keyPair, { tls: tlsKey })
    expect(tls?.expires).toBe(world.clock.now() + 30 * 86_400_000)
    // Outside the signature, anybody could have added the key.
    expect((await renew(keyPair, {}, { tlsKey })).tls).toBeUndefined()
    await expect(renew(await newKeyPair(), { tls: tlsKey })).rejects.toMatchObject(refused)
    await expect(renew(keyPair, { tls: 'x'.repeat(300) })).rejects.toMatchObject(refused)
  })

  it('refuses an invalid TLS key, and the secret stays valid', async () => {
    await reportAddress(`server-${instance}-1`, '127.9.9.9', 1)
    const keyPair = await newKeyPair()
    await expect(enrolFirst(keyPair, { tlsKey: 'AAAA' })).rejects.toMatchObject({ status: 400 })
    expect((await enrolFirst(keyPair)).tls).toBeDefined()
  })
})
