import { createPrivateKey, X509Certificate } from 'node:crypto'
import { globSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals'
import pg from 'pg'
import { contentOf, filesOf } from '../files.ts'
import { endpointOf, raw, refusal } from './api-helpers.ts'
import { type Answer, type Coffer, createInstance, type Session, startCoffer, until, wipe } from './coffer.ts'

jest.setTimeout(120_000)

let coffer: Coffer
let demo: Session
let shop: Answer['body']
let ca: string
const answers: string[] = []
const login = { user: 'ann', password: 'pw1', database: 'cart' }

beforeAll(async () => {
  coffer = await startCoffer()
  demo = await coffer.login()
  shop = await createInstance(demo, {
    databases: [{ name: 'cart' }],
    users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
  })
  ca = readFileSync(join(coffer.dataDir, 'ca.pem'), 'utf8')
})
afterAll(async () => {
  await coffer?.stop()
  await wipe(coffer.dataDir)
})

const path = (more = '') => `/instances/${shop.id}/ssl${more}`
async function told(method: string, url: string, body?: unknown): Promise<Answer> {
  const answer = await demo.call(method, url, body)
  answers.push(answer.text)
  return answer
}
const change = async (ssl: Record<string, unknown>) => (await told('POST', path(), { ssl })).body

async function connected(ssl?: pg.ClientConfig['ssl']): Promise<pg.Client> {
  const client = new pg.Client({ ...endpointOf(shop), ...login, ...(ssl && { ssl }), connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  await client.connect()
  return client
}

/** Whether a session came to be, and with TLS. As libpq's verify-full where an authority is given. */
async function encrypted(ssl?: pg.ClientConfig['ssl']): Promise<boolean> {
  const client = await connected(ssl)
  try {
    return (await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')).rows[0].ssl
  } finally {
    await client.end()
  }
}

it('is there from the moment that an instance is ACTIVE, verifiable by its address', async () => {
  expect(await encrypted({ ca })).toBe(true)
  expect(await encrypted()).toBe(false)
})

it('has an authority that anybody may read', async () => {
  const answer = await raw('GET', coffer.base, '/ca.pem')
  expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/x-pem-file'])
  expect(answer.text).toBe(ca)
  expect(new X509Certificate(ca).ca).toBe(true)
  expect(statSync(join(coffer.dataDir, 'ca.pem')).mode & 0o777).toBe(0o644)
})

it('is shown, with the certificate where asked', async () => {
  const { body } = await told('GET', path())
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
  const { payload, ...same } = (await told('GET', path('?include_certificate=true'))).body.ssl.certificate
  expect(same).toEqual(body.ssl.certificate)
  const [served, root] = payload.split(/(?<=-----END CERTIFICATE-----\n)/)
  expect(root).toBe(ca)
  expect(new X509Certificate(served).verify(new X509Certificate(ca).publicKey)).toBe(true)
  expect((await told('GET', path('?include_certificate=false'))).body).toEqual(body)
})

it('is enforced on demand, which sessions in clear do not outlive, and stays so over a restart', async () => {
  const plain = await connected()
  const ended = new Promise(resolve => plain.once('end', () => resolve('ended')))
  const secure = await connected({ ca })
  expect(await change({ enable: true, mode: 'enforced' })).toEqual({
    ssl: { status: 'on', mode: 'enforced', restart_required: false },
  })
  expect(await ended).toBe('ended')
  await secure.query('SELECT 1')
  await secure.end()
  await expect(encrypted()).rejects.toThrow(/rejects connection/)
  expect(await encrypted({ ca })).toBe(true)
  expect(await coffer.stop()).toBe(0)
  coffer = await startCoffer(coffer.dataDir)
  demo = await coffer.login()
  const healthy = await until('healthy instance', async () => {
    const { instance } = (await demo.call('GET', `/instances/${shop.id}`)).body
    return instance.operating_status === 'HEALTHY' && instance
  })
  shop = healthy
  expect(readFileSync(join(coffer.dataDir, 'ca.pem'), 'utf8')).toBe(ca)
  expect((await told('GET', path())).body.ssl).toMatchObject({ status: 'on', mode: 'enforced' })
  await expect(encrypted()).rejects.toThrow(/rejects connection/)
  expect(await encrypted({ ca })).toBe(true)
  // The agent's own connection is not among the refused.
  expect((await demo.call('GET', `/instances/${shop.id}/users`)).body.users).toHaveLength(1)
})

it('says on a dry run what it would be, and stays as it is', async () => {
  const dry = async (ssl: Record<string, unknown>) => (await told('POST', path('?dry_run=true'), { ssl })).body
  expect(await dry({ enable: true })).toEqual({ ssl: { status: 'on', mode: 'basic', restart_required: false } })
  expect(await dry({ disable: true })).toEqual({ ssl: { status: 'off', mode: null, restart_required: false } })
  expect(await dry({ rollback: true })).toEqual({ ssl: { status: 'on', mode: 'enforced', restart_required: false } })
  expect((await told('GET', path())).body.ssl).toMatchObject({ status: 'on', mode: 'enforced' })
})

it('takes an empty container for none: the openstack command has to name one', async () => {
  const named = { enable: 1, mode: 'enforced', container_ref: '' }
  expect(await change(named)).toMatchObject({ ssl: { status: 'on', mode: 'enforced' } })
})

it('goes back, off and on', async () => {
  expect(await change({ rollback: true })).toEqual({ ssl: { status: 'on', mode: 'basic', restart_required: false } })
  expect(await encrypted()).toBe(false)
  expect(await change({ disable: 1 })).toEqual({ ssl: { status: 'off', mode: null, restart_required: false } })
  expect((await told('GET', path())).body).toEqual({ ssl: { status: 'off', mode: null } })
  await expect(encrypted({ ca })).rejects.toThrow('does not support SSL')
  expect(await change({ enable: true })).toMatchObject({ ssl: { status: 'on', mode: 'basic' } })
  expect(await encrypted({ ca })).toBe(true)
})

it('is refused with the right code', async () => {
  const refused = (ssl: unknown) => refusal(told('POST', path(), { ssl }))
  const one = '400 The body must have exactly one of enable, disable and rollback.'
  expect(await refused({})).toBe(one)
  expect(await refused({ enable: true, disable: true })).toBe(one)
  expect(await refused({ enable: false })).toBe(one)
  expect(await refused({ disable: true, mode: 'basic' })).toBe('400 A mode is for enable only.')
  expect(await refused({ enable: true, mode: 'paranoid' })).toMatch(/^400 Validation error/)
  expect(await refused({ enable: 'yes' })).toMatch(/^400 Validation error/)
  expect(await refused({ enable: true, mode: 'mtls' })).toMatch(/^501 /)
  expect(await refused({ enable: true, container_ref: 'http://key-manager/v1/containers/1' })).toMatch(/^501 /)
  const alt = await coffer.login('openrc-alt')
  expect((await alt.call('POST', path(), { ssl: { enable: true, mode: 'enforced' } })).status).toBe(404)
  expect((await alt.call('GET', path())).status).toBe(404)
  expect(await encrypted()).toBe(false)
})

it('waits for an instance with which something can be done', async () => {
  const asked = await demo.call('POST', '/instances', {
    instance: { name: 'soon', flavorRef: 1, volume: { size: 1 }, datastore: { type: 'postgresql', version: '18' } },
  })
  const { id } = asked.body.instance
  expect(await refusal(demo.call('GET', `/instances/${id}/ssl`))).toMatch(/^422 Instance .* is not /)
  expect(await refusal(demo.call('POST', `/instances/${id}/ssl`, { ssl: { enable: true } }))).toMatch(/^422 Instance /)
})

it('keeps every private key where it was made', () => {
  const files = filesOf(coffer.dataDir)
  const holding = (...needles: (string | Buffer)[]) =>
    files
      .filter(file => needles.some(needle => contentOf(file).includes(needle)))
      .map(file => relative(coffer.dataDir, file).replace(/-[0-9a-f-]{36}-\d+\//, '-*/'))
  // The second is the agent's own, that it signs with when it enrols again.
  expect([...new Set(holding('PRIVATE KEY'))].sort()).toEqual([
    'servers/server-*/enrolment.json',
    'volumes/volume-*/server.key',
  ])
  const [keyFile] = globSync(join(coffer.dataDir, 'volumes', `*${shop.id}*`, 'server.key'))
  const key = createPrivateKey(readFileSync(keyFile ?? '')).export({ format: 'jwk' }).d ?? ''
  const scalar = Buffer.from(key, 'base64url')
  expect(scalar).toHaveLength(32)
  expect(holding(scalar, key, scalar.toString('hex'), scalar.toString('base64'))).toEqual([])
  const seen = coffer.output() + answers.join('\n')
  expect(seen).toContain('BEGIN CERTIFICATE')
  for (const secret of ['PRIVATE KEY', key, scalar.toString('hex')]) expect(seen).not.toContain(secret)
})
