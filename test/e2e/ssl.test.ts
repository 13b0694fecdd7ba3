import { createPrivateKey, X509Certificate } from 'node:crypto'
import { globSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import { cloudFiles, readIfPresent } from '../files.ts'
import { endpointOf, rawRequest, refusal } from './api-helpers.ts'
import { ANN, CART, sharedCloud } from './cloud.ts'
import { type Answer, createInstance, requestInstance } from './coffer.ts'
import { withHostPaused } from './fault-injection.ts'

const { coffer, demo, alt } = sharedCloud()
let shop: Answer['body']
let ca: string
const answers: string[] = []
beforeAll(async () => {
  shop = await createInstance(demo, CART)
  ca = readFileSync(join(coffer.dataDir, 'ca.pem'), 'utf8')
})

const path = (query = '') => `/instances/${shop.id}/ssl${query}`
async function callAndRecord(method: string, url: string, body?: unknown): Promise<Answer> {
  const answer = await demo.call(method, url, body)
  answers.push(answer.text)
  return answer
}
const change = async (ssl: Record<string, unknown>) => (await callAndRecord('POST', path(), { ssl })).body

async function connect(ssl?: pg.ClientConfig['ssl']): Promise<pg.Client> {
  const client = new pg.Client({ ...endpointOf(shop), ...ANN, ...(ssl && { ssl }), connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  await client.connect()
  return client
}

/** Connects, and returns whether the session uses TLS. With an authority it verifies like libpq's verify-full. */
async function isEncrypted(ssl?: pg.ClientConfig['ssl']): Promise<boolean> {
  const client = await connect(ssl)
  try {
    return (await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')).rows[0].ssl
  } finally {
    await client.end()
  }
}

describe('TLS of an instance', () => {
  it('is on as soon as an instance is ACTIVE, with a certificate for its address', async () => {
    expect(await isEncrypted({ ca })).toBe(true)
    expect(await isEncrypted()).toBe(false)
  })

  it('has an authority whose certificate anybody may read', async () => {
    const answer = await rawRequest('GET', coffer.base, '/ca.pem')
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/x-pem-file'])
    expect(answer.text).toBe(ca)
    expect(new X509Certificate(ca).ca).toBe(true)
    expect(statSync(join(coffer.dataDir, 'ca.pem')).mode & 0o777).toBe(0o644)
  })

  it('is shown, with the certificate where asked', async () => {
    const { body } = await callAndRecord('GET', path())
    const { host } = endpointOf(shop)
    const dns = `${shop.id}.coffer.internal`
    expect(body).toEqual({
      ssl: {
        status: 'on',
        mode: 'basic',
        certificate: {
          cn: dns,
          expire_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/),
          san: [dns, host],
        },
      },
    })
    const { payload, ...same } = (await callAndRecord('GET', path('?include_certificate=true'))).body.ssl.certificate
    expect(same).toEqual(body.ssl.certificate)
    const [served, root] = payload.split(/(?<=-----END CERTIFICATE-----\n)/)
    expect(root).toBe(ca)
    expect(new X509Certificate(served).verify(new X509Certificate(ca).publicKey)).toBe(true)
    expect((await callAndRecord('GET', path('?include_certificate=false'))).body).toEqual(body)
  })

  it('is enforced on demand, which ends sessions without it', async () => {
    const plain = await connect()
    const ended = new Promise(resolve => plain.once('end', () => resolve('ended')))
    const secure = await connect({ ca })
    expect(await change({ enable: true, mode: 'enforced' })).toEqual({
      ssl: { status: 'on', mode: 'enforced', restart_required: false },
    })
    expect(await ended).toBe('ended')
    await secure.query('SELECT 1')
    await secure.end()
    await expect(isEncrypted()).rejects.toThrow(/rejects connection/)
    expect(await isEncrypted({ ca })).toBe(true)
    // The agent's own connection is not refused.
    expect((await demo.call('GET', `/instances/${shop.id}/users`)).body.users).toHaveLength(1)
  })

  it('says on a dry run what would change, and changes nothing', async () => {
    const dry = async (ssl: Record<string, unknown>) =>
      (await callAndRecord('POST', path('?dry_run=true'), { ssl })).body
    expect(await dry({ enable: true })).toEqual({ ssl: { status: 'on', mode: 'basic', restart_required: false } })
    expect(await dry({ disable: true })).toEqual({ ssl: { status: 'off', mode: null, restart_required: false } })
    expect(await dry({ rollback: true })).toEqual({ ssl: { status: 'on', mode: 'enforced', restart_required: false } })
    expect((await callAndRecord('GET', path())).body.ssl).toMatchObject({ status: 'on', mode: 'enforced' })
  })

  it('treats an empty container as none: the openstack command always sends one', async () => {
    const named = { enable: 1, mode: 'enforced', container_ref: '' }
    expect(await change(named)).toMatchObject({ ssl: { status: 'on', mode: 'enforced' } })
  })

  it('is rolled back, switched off, and switched on again', async () => {
    expect(await change({ rollback: true })).toEqual({ ssl: { status: 'on', mode: 'basic', restart_required: false } })
    expect(await isEncrypted()).toBe(false)
    expect(await change({ disable: 1 })).toEqual({ ssl: { status: 'off', mode: null, restart_required: false } })
    expect((await callAndRecord('GET', path())).body).toEqual({ ssl: { status: 'off', mode: null } })
    await expect(isEncrypted({ ca })).rejects.toThrow('does not support SSL')
    expect(await change({ enable: true })).toMatchObject({ ssl: { status: 'on', mode: 'basic' } })
    expect(await isEncrypted({ ca })).toBe(true)
  })

  it('is refused with the right code', async () => {
    const refused = (ssl: unknown) => refusal(callAndRecord('POST', path(), { ssl }))
    const one = '400 The body must have exactly one of enable, disable and rollback.'
    expect(await refused({})).toBe(one)
    expect(await refused({ enable: true, disable: true })).toBe(one)
    expect(await refused({ enable: false })).toBe(one)
    expect(await refused({ disable: true, mode: 'basic' })).toBe('400 A mode is for enable only.')
    expect(await refused({ enable: true, mode: 'paranoid' })).toMatch(/^400 Validation error/)
    expect(await refused({ enable: 'yes' })).toMatch(/^400 Validation error/)
    expect(await refused({ enable: true, mode: 'mtls' })).toMatch(/^501 /)
    expect(await refused({ enable: true, container_ref: 'http://key-manager/v1/containers/1' })).toMatch(/^501 /)
    expect((await alt.call('POST', path(), { ssl: { enable: true, mode: 'enforced' } })).status).toBe(404)
    expect((await alt.call('GET', path())).status).toBe(404)
    expect(await isEncrypted()).toBe(false)
  })

  it('is refused while the instance is being built', async () => {
    await withHostPaused(coffer, async () => {
      const { id } = await requestInstance(demo, { datastore: { type: 'postgresql', version: '18' } })
      expect(await refusal(demo.call('GET', `/instances/${id}/ssl`))).toMatch(/^422 Instance .* is not /)
      expect(await refusal(demo.call('POST', `/instances/${id}/ssl`, { ssl: { enable: true } }))).toMatch(
        /^422 Instance /,
      )
    })
  })

  /** Whether a file belongs to an instance of another project. */
  const isForeign = (file: string) => /-[0-9a-f-]{36}-\d+[./]/.test(file) && !file.includes(shop.id)

  it('keeps every private key where it was generated', () => {
    // Files of other instances may appear and go meanwhile.
    const files = cloudFiles(coffer.dataDir).filter(file => !isForeign(file))
    const filesWith = (...needles: (string | Buffer)[]) =>
      files
        .filter(file => needles.some(needle => readIfPresent(file).includes(needle)))
        .map(file => relative(coffer.dataDir, file).replace(/-[0-9a-f-]{36}-\d+\//, '-*/'))
    // The first is the agent's, which signs with it when it enrols again.
    expect([...new Set(filesWith('PRIVATE KEY'))].sort()).toEqual([
      'servers/server-*/enrolment.json',
      'volumes/volume-*/server.key',
    ])
    const [keyFile] = globSync(join(coffer.dataDir, 'volumes', `*${shop.id}*`, 'server.key'))
    const key = createPrivateKey(readFileSync(keyFile ?? '')).export({ format: 'jwk' }).d ?? ''
    const scalar = Buffer.from(key, 'base64url')
    expect(scalar).toHaveLength(32)
    expect(filesWith(scalar, key, scalar.toString('hex'), scalar.toString('base64'))).toEqual([])
    const published = coffer.output() + answers.join('\n')
    expect(published).toContain('BEGIN CERTIFICATE')
    for (const secret of ['PRIVATE KEY', key, scalar.toString('hex')]) expect(published).not.toContain(secret)
  })
})
