import { createPublicKey, X509Certificate } from 'node:crypto'
import { existsSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { PeerCertificate } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import type { Client, ClientConfig } from 'pg'
import { derivedKeys } from '../../../../lib/kit/crypto/keys.ts'
import { type Authority, authority } from '../../../../lib/kit/tls/ca.ts'
import { sqliteStore } from '../../../../lib/platform/store/sqlite/store.ts'
import { seededRandom } from '../../../kit/random.ts'
import { secretsOf } from '../../../kit/secrets.ts'
import { type Cluster, clock, newCluster } from '../cluster.ts'

jest.setTimeout(30_000)

function newAuthority(seed: number): Authority {
  const master = { id: 'k1', bytes: seededRandom(seed).bytes(32) }
  const keys = derivedKeys(secretsOf([master]))
  return authority({ keys, store: sqliteStore(':memory:', { clock }), clock, random: seededRandom(seed + 1) })
}

describe('TLS', () => {
  let cluster: Cluster
  let ca: string
  const certificateAuthority = newAuthority(1)
  const files = (name: string) => join(cluster.context.volume, name)

  const certify = async (addresses = [cluster.context.address], issuer = certificateAuthority) =>
    issuer.issue({ publicKey: await cluster.driver.tls_key(), dns: 'one.coffer.internal', addresses })
  const alice = (config: ClientConfig = {}) => cluster.connect('alice', 'pw', 'app', config)
  /** As `sslmode=verify-full`: the authority and the address are checked. */
  const connectVerified = () => alice({ ssl: { ca } })
  const protocolOf = async (client: Client) =>
    (await client.query('SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()')).rows[0]
  /** The serial number of the certificate that a new session gets. */
  async function servedSerial(): Promise<string> {
    let served = ''
    const checkServerIdentity = (_host: string, { serialNumber }: PeerCertificate) => {
      served = serialNumber
      return undefined
    }
    await alice({ ssl: { ca, checkServerIdentity } })
    return served
  }
  const pidOf = async (client: Client) => (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid

  beforeAll(async () => {
    cluster = await newCluster()
    const users = [{ name: 'alice', password: 'pw', databases: [{ name: 'app' }] }]
    await cluster.driver.prepare({ datastore_version: '18', databases: [{ name: 'app' }], users })
    ca = await certificateAuthority.bundle()
  })
  afterAll(() => cluster.remove())

  it('has a lasting key of its own that only its owner can read', async () => {
    const key = await cluster.driver.tls_key()
    expect(await cluster.restartAgent().tls_key()).toBe(key)
    expect(statSync(files('server.key')).mode & 0o777).toBe(0o600)
    expect(statSync(files('server.key')).uid).toBe(statSync(files('data')).uid)
    const read = createPublicKey({ key: Buffer.from(key, 'base64'), format: 'der', type: 'spki' })
    expect(read.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' })
    expect(existsSync(files('data/server.key'))).toBe(false)
  })

  it('is off until there is a certificate', async () => {
    await expect(connectVerified()).rejects.toThrow('does not support SSL')
    expect(await cluster.driver.ssl_show({})).toEqual({ status: 'on', mode: 'basic' })
  })

  it('is offered once there is a certificate, without a restart and without ending a session', async () => {
    const before = await alice()
    const pid = cluster.pid()
    const { certificate, ca: trusted } = await certify()
    await cluster.driver.use_certificate({ certificate, ca: trusted })
    expect(await protocolOf(await connectVerified())).toEqual({ ssl: true, version: 'TLSv1.3' })
    expect(await protocolOf(await alice())).toEqual({ ssl: false, version: null })
    expect(await protocolOf(before)).toEqual({ ssl: false, version: null })
    expect(cluster.pid()).toBe(pid)
    expect(await cluster.driver.ssl_show({})).toEqual({ status: 'on', mode: 'basic', certificate, ca })
  })

  it('verifies with its own CA and address only', async () => {
    const stranger = await newAuthority(5).bundle()
    await expect(alice({ ssl: { ca: stranger } })).rejects.toThrow(/self-signed certificate|unable to verify/)
    const elsewhere = await certify(['127.200.200.200'])
    await cluster.driver.use_certificate(elsewhere)
    await expect(connectVerified()).rejects.toThrow(/does not match certificate/)
    await cluster.driver.use_certificate(await certify())
    await connectVerified()
  })

  it('accepts TLS 1.2 and newer only, with forward secrecy', async () => {
    const attempt = async (config: object) =>
      alice({ ssl: { ca, ...config } }).then(protocolOf, (error: unknown) => String(error))
    expect(await attempt({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })).toEqual({ ssl: true, version: 'TLSv1.2' })
    const old = { ciphers: 'DEFAULT@SECLEVEL=0' }
    expect(await attempt({ ...old, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' })).toMatch(
      /protocol|version|disconnect/i,
    )
    expect(await attempt({ maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA:AES256-GCM-SHA384' })).toMatch(
      /handshake|disconnect/i,
    )
  })

  it('renews the certificate without ending a session', async () => {
    const session = await connectVerified()
    const pid = await pidOf(session)
    const next = await certify()
    await cluster.driver.use_certificate(next)
    expect(await servedSerial()).toBe(new X509Certificate(next.certificate).serialNumber)
    expect(await pidOf(session)).toBe(pid)
  })

  it('can be enforced: plain sessions end, new ones are refused, and the agent goes on', async () => {
    const plain = await alice()
    const ended = new Promise(resolve => plain.once('error', resolve))
    const secure = await connectVerified()
    expect(await cluster.driver.ssl_action({ enable: true, mode: 'enforced' })).toEqual({
      status: 'on',
      mode: 'enforced',
      restart_required: false,
    })
    expect(String(await ended)).toMatch(/terminating connection/)
    await expect(alice()).rejects.toThrow(/no encryption|rejects connection/)
    await expect(cluster.connect('os_admin', 'guess', 'postgres')).rejects.toThrow('pg_hba.conf rejects')
    expect(await protocolOf(secure)).toMatchObject({ ssl: true })
    expect(await protocolOf(await connectVerified())).toMatchObject({ ssl: true })
    await cluster.driver.create_user({ users: [{ name: 'bob', password: 'pw', databases: [{ name: 'app' }] }] })
    expect((await cluster.driver.list_users({ limit: 5 })).items).toHaveLength(2)
  })

  it("stays enforced when users' hosts and networks change, and over restarts of server and agent", async () => {
    await cluster.driver.update_attributes({ name: 'bob', host: '%', attributes: { host: '127.0.0.0/8' } })
    await expect(cluster.connect('bob', 'pw', 'app')).rejects.toThrow(/rejects connection/)
    expect(await protocolOf(await cluster.connect('bob', 'pw', 'app', { ssl: { ca } }))).toMatchObject({ ssl: true })
    await cluster.driver.update_access({ allowed_cidrs: ['127.0.0.0/8'] })
    await expect(alice()).rejects.toThrow(/rejects connection/)
    expect(await protocolOf(await connectVerified())).toMatchObject({ ssl: true })
    await cluster.driver.stop()
    const agent = cluster.restartAgent()
    await agent.start()
    expect(await cluster.status(agent)).toBe('healthy')
    expect(await agent.ssl_show({})).toMatchObject({ status: 'on', mode: 'enforced' })
    await expect(alice()).rejects.toThrow(/rejects connection/)
    expect(await protocolOf(await connectVerified())).toMatchObject({ ssl: true })
  })

  it('rolls back to the previous mode, and a repeated rollback changes nothing', async () => {
    const basic = { status: 'on', mode: 'basic', restart_required: false }
    await cluster.driver.ssl_action({ enable: true, mode: 'enforced' })
    expect(await cluster.driver.ssl_rollback({})).toEqual(basic)
    expect(await protocolOf(await alice())).toMatchObject({ ssl: false })
    expect(await cluster.driver.ssl_rollback({})).toEqual(basic)
  })

  it('can be turned off and on again', async () => {
    await cluster.driver.ssl_action({ enable: true, mode: 'enforced' })
    const off = { status: 'off', mode: null, restart_required: false }
    expect(await cluster.driver.ssl_action({ enable: false })).toEqual(off)
    await expect(connectVerified()).rejects.toThrow('does not support SSL')
    expect(await protocolOf(await alice())).toMatchObject({ ssl: false })
    expect(await cluster.driver.ssl_rollback({})).toMatchObject({ status: 'on', mode: 'enforced' })
    await expect(alice()).rejects.toThrow(/rejects connection/)
    expect(await cluster.driver.ssl_action({ enable: true, mode: 'basic' })).toMatchObject({
      status: 'on',
      mode: 'basic',
    })
    await alice()
  })

  it('rejects a rollback where nothing was changed', async () => {
    rmSync(files('ssl.json'))
    await expect(cluster.driver.ssl_rollback({})).rejects.toMatchObject({ name: 'RejectedByDatastore', code: 400 })
  })

  it('can be changed while the server is stopped', async () => {
    await cluster.driver.stop()
    expect(await cluster.driver.ssl_action({ enable: true, mode: 'enforced' })).toMatchObject({ mode: 'enforced' })
    await cluster.driver.start()
    await expect(alice()).rejects.toThrow(/rejects connection/)
    await cluster.driver.ssl_action({ enable: true, mode: 'basic' })
  })

  it('lets a server start whose key was lost, and never shows a key', async () => {
    expect(JSON.stringify(await cluster.driver.ssl_show({}))).not.toContain('PRIVATE')
    await cluster.driver.stop()
    rmSync(files('server.key'))
    await cluster.driver.tls_key()
    await cluster.driver.start()
    await expect(connectVerified()).rejects.toThrow('does not support SSL')
    await cluster.driver.use_certificate(await certify())
    await connectVerified()
  })
})
