import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { beforeEach, describe, expect, it } from '@jest/globals'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { enrol } from '../../lib/guests/enrol.ts'
import { enrolSecret } from '../../lib/guests/guest.ts'
import { observe } from '../../lib/platform/compute/facts.ts'
import { scenarios, theInstance } from '../laws/scenarios.ts'
import { World } from '../sim/world.ts'

const keyPair = () => generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })

async function publicOf({ publicKey }: Awaited<ReturnType<typeof keyPair>>) {
  const { x = '' } = await exportJWK(publicKey)
  return { kty: 'OKP' as const, crv: 'Ed25519' as const, x }
}

describe('enrolment', () => {
  let world: World
  let instance: string
  let secret: string
  beforeEach(async () => {
    world = await new World().open()
    await scenarios.create_instance.begin(world.platform)
    instance = (await theInstance(world))?.id ?? ''
    secret = await enrolSecret(world.platform.keys, instance, 1)
  })
  const refused = { status: 401 }

  it('trades the secret for topics, keys and credentials', async () => {
    const got = await enrol(world.platform, {
      instance,
      generation: 1,
      secret,
      publicKey: await publicOf(await keyPair()),
    })
    expect(got).toMatchObject({ topic: `guest-${instance}-1`, conductor: 'conductor', kid: 'k1' })
    expect(Buffer.from(got.keys.down, 'base64url')).toHaveLength(32)
    expect(got.keys.down).not.toBe(got.keys.up)
  })

  it('can be repeated with the same key, and with no other', async () => {
    const publicKey = await publicOf(await keyPair())
    const first = await enrol(world.platform, { instance, generation: 1, secret, publicKey })
    expect((await enrol(world.platform, { instance, generation: 1, secret, publicKey })).keys).toEqual(first.keys)
    const other = { instance, generation: 1, secret, publicKey: await publicOf(await keyPair()) }
    await expect(enrol(world.platform, other)).rejects.toMatchObject(refused)
  })

  it('by the secret is over with the first report, for the same key too; a signature renews it still', async () => {
    const own = await keyPair()
    const asked = { instance, generation: 1, secret, publicKey: await publicOf(own) }
    await enrol(world.platform, asked)
    // The agent reports at its start.
    await world.until('instance', () => scenarios.create_instance.done(world))
    await expect(enrol(world.platform, asked)).rejects.toMatchObject(refused)
    const proof = await new SignJWT()
      .setProtectedHeader({ alg: 'EdDSA' })
      .setIssuedAt(Math.floor(world.clock.now() / 1000))
      .setAudience('enrol')
      .setSubject(`guest:${instance}`)
      .sign(own.privateKey)
    expect((await enrol(world.platform, { instance, generation: 1, proof })).topic).toBe(`guest-${instance}-1`)
  })

  it.each([
    ['a wrong secret', { secret: 'x'.repeat(43) }],
    ['an empty secret', { secret: '' }],
    ['another generation', { generation: 2 }],
    ['an unknown instance', { instance: 'no-such' }],
  ])('refuses %s', async (_, change) => {
    const asked = { instance, generation: 1, secret, publicKey: await publicOf(await keyPair()), ...change }
    await expect(enrol(world.platform, asked)).rejects.toMatchObject(refused)
  })

  it('refuses a secret whose time is over', async () => {
    await world.clock.advance(31 * 60_000)
    const asked = { instance, generation: 1, secret, publicKey: await publicOf(await keyPair()) }
    await expect(enrol(world.platform, asked)).rejects.toMatchObject(refused)
  })

  it('renews by a signature of the same key, and by no other', async () => {
    const own = await keyPair()
    const proofOf = async (pair: typeof own, subject: string, audience: string, at: number) =>
      new SignJWT()
        .setProtectedHeader({ alg: 'EdDSA' })
        .setIssuedAt(at)
        .setAudience(audience)
        .setSubject(subject)
        .sign(pair.privateKey)
    const now = Math.floor(world.clock.now() / 1000)
    const subject = `guest:${instance}`
    const renewal = async (proof: Promise<string>) =>
      enrol(world.platform, { instance, generation: 1, proof: await proof })
    await expect(renewal(proofOf(own, subject, 'enrol', now))).rejects.toMatchObject(refused)
    await enrol(world.platform, { instance, generation: 1, secret, publicKey: await publicOf(own) })
    expect((await renewal(proofOf(own, subject, 'enrol', now))).topic).toBe(`guest-${instance}-1`)
    await expect(renewal(proofOf(await keyPair(), subject, 'enrol', now))).rejects.toMatchObject(refused)
    await expect(renewal(proofOf(own, 'guest:other', 'enrol', now))).rejects.toMatchObject(refused)
    await expect(renewal(proofOf(own, subject, 'queue', now))).rejects.toMatchObject(refused)
    await expect(renewal(proofOf(own, subject, 'enrol', now - 600))).rejects.toMatchObject(refused)
  })

  describe('with a TLS key', () => {
    const tlsKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      .publicKey.export({ type: 'spki', format: 'der' })
      .toString('base64')
    const told = (name: string, address: string, sent: number) =>
      observe(world.store, world.clock.now(), {
        project: 'p1',
        instance,
        name,
        facts: { status: 'BUILD', addresses: [{ address, port: 5432, type: 'private' }] },
        sent,
      })
    const first = async (own: Awaited<ReturnType<typeof keyPair>>, more = {}) =>
      enrol(world.platform, { instance, generation: 1, secret, publicKey: await publicOf(own), tlsKey, ...more })
    const renewed = async (own: Awaited<ReturnType<typeof keyPair>>, claims: Record<string, unknown>, more = {}) => {
      const proof = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'EdDSA' })
        .setIssuedAt(Math.floor(world.clock.now() / 1000))
        .setAudience('enrol')
        .setSubject(`guest:${instance}`)
        .sign(own.privateKey)
      return enrol(world.platform, { instance, generation: 1, proof, ...more })
    }

    it('is answered with a certificate for the instance where its machine says that it is', async () => {
      await told(`server-${instance}-1`, '127.9.9.9', 1)
      const { tls } = await first(await keyPair())
      const read = new X509Certificate(tls?.certificate ?? '')
      expect(read.subjectAltName).toBe(`DNS:${instance}.coffer.internal, IP Address:127.9.9.9`)
      expect(read.verify(new X509Certificate(tls?.ca ?? '').publicKey)).toBe(true)
      expect(tls?.ca).toBe(await world.platform.authority.bundle())
      expect(tls?.expires).toBe(world.clock.now() + 30 * 86_400_000)
    })

    it('takes no address, name or instance of the agent’s own claim', async () => {
      await told(`server-${instance}-1`, '127.9.9.9', 1)
      await told('server-other-1', '127.1.1.1', 1)
      const claims = { addresses: ['127.1.1.1'], dns: 'other.coffer.internal', address: '127.1.1.1' }
      const own = await keyPair()
      const answers = [await first(own, claims), await renewed(own, { tls: tlsKey, ...claims }, claims)]
      for (const { tls } of answers) {
        const { subjectAltName } = new X509Certificate(tls?.certificate ?? '')
        expect(subjectAltName).toBe(`DNS:${instance}.coffer.internal, IP Address:127.9.9.9`)
      }
    })

    it('is to be asked again while nobody knows where the instance is, with the same secret', async () => {
      const own = await keyPair()
      await expect(first(own)).rejects.toMatchObject({ status: 503 })
      await told(`server-${instance}-1`, '127.9.9.9', 1)
      expect((await first(own)).tls).toBeDefined()
    })

    it('is certified again at a renewal, as the signature says, and only so', async () => {
      await told(`server-${instance}-1`, '127.9.9.9', 1)
      const own = await keyPair()
      await first(own)
      await world.clock.advance(60_000)
      const { tls } = await renewed(own, { tls: tlsKey })
      expect(tls?.expires).toBe(world.clock.now() + 30 * 86_400_000)
      // Beside the signature anybody could have written it.
      expect((await renewed(own, {}, { tlsKey })).tls).toBeUndefined()
      await expect(renewed(await keyPair(), { tls: tlsKey })).rejects.toMatchObject(refused)
      await expect(renewed(own, { tls: 'x'.repeat(300) })).rejects.toMatchObject(refused)
    })

    it('is refused when it is none, and the secret stays good', async () => {
      await told(`server-${instance}-1`, '127.9.9.9', 1)
      const own = await keyPair()
      await expect(first(own, { tlsKey: 'AAAA' })).rejects.toMatchObject({ status: 400 })
      expect((await first(own)).tls).toBeDefined()
    })
  })
})
