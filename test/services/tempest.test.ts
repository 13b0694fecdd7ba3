import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { administratorExtensions } from '../../lib/datastores/postgresql/rules/administrator.ts'
import { query } from '../e2e/api-helpers.ts'
import { type Answer, type Coffer, createInstance, startCoffer } from '../e2e/coffer.ts'
import { tempDir } from '../e2e/temp-dir.ts'
import { endCoffer } from './clients.ts'
import { type Outcome, runTempest } from './tempest.ts'

/** Tests whose features exist. */
const PASSING = [
  'TestInstanceBasicPostgreSQL.test_database_access',
  'TestInstanceBasicPostgreSQL.test_root_disable',
  'TestInstanceBasicPostgreSQL.test_user_database',
  'TestInstanceUpdateAccessPostgreSQL.test_instance_update_access',
  'TestInstanceActionsPostgreSQL.test_instance_upgrade',
  'TestInstanceActionsPostgreSQL.test_resize',
  'TestInstanceActionsPostgreSQL.test_rebuild_without_configuration',
]

const NO_GROUPS = /in create_config.*NotFound: Object not found/s
const NO_BACKUPS = /in create_backup.*NotFound: Object not found/s
const NO_REPLICAS = /NotImplemented: .*Replicas are not supported by this datastore version\./s
const NO_KEY_MANAGER = /NotImplemented: .*There is no key manager to take a certificate from/s
const NO_CLIENT_CERTIFICATES = /NotImplemented: .*Client certificates \(mtls\) need a key manager/s

/** Tests that cannot pass yet: why, and the refusal at which each ends. */
const REFUSED: { reason: string; refusal: RegExp; tests: string[] }[] = [
  {
    reason: 'there are no configuration groups',
    refusal: NO_GROUPS,
    tests: ['TestInstanceBasicPostgreSQL.test_configuration', 'TestInstanceActionsPostgreSQL.test_rebuild'],
  },
  {
    reason: 'there are no backups',
    refusal: NO_BACKUPS,
    tests: ['TestBackupPostgreSQL.setUpClass', 'TestCinderBackupPostgreSQL.setUpClass'],
  },
  {
    reason: 'there are no replicas',
    refusal: NO_REPLICAS,
    tests: ['TestReplicationPostgreSQL.test_replication', 'TestInstanceSSLPostgreSQL.test_ssl_replication_renew'],
  },
  {
    reason: 'a server has no other certificate than one from the CA of Coffer',
    refusal: NO_KEY_MANAGER,
    tests: ['basic', 'enforced', 'rollback', 'rebuild', 'replication_basic', 'replication_enforced'].map(sslTest),
  },
  {
    reason: 'there are no client certificates',
    refusal: NO_CLIENT_CERTIFICATES,
    tests: ['mtls', 'replication_mtls'].map(sslTest),
  },
]
const REFUSED_TESTS = REFUSED.flatMap(({ tests, ...why }) => tests.map(test => ({ test, ...why })))

function sslTest(name: string): string {
  return `TestInstanceSSLPostgreSQL.test_ssl_${name}`
}

let coffer: Coffer
beforeAll(async () => {
  coffer = await startCoffer()
}, 90_000)
afterAll(() => endCoffer(coffer), 60_000)

// Tempest and trove-tempest-plugin. They log in to the databases with psycopg2: as root to `postgres`, and as users.
describe('tempest', () => {
  let outcomes: Record<string, Outcome>
  beforeAll(async () => {
    outcomes = await runTempest(coffer, join(tempDir(), 'tempest'))
  }, 240_000)

  it.each(PASSING)('passes %s', test => {
    expect(outcomes[test]).toEqual({ outcome: 'passed', text: '' })
  })

  it.each(REFUSED_TESTS)('is refused in $test, because $reason', ({ test, refusal }) => {
    expect(outcomes[test]).toEqual({ outcome: 'failed', text: expect.stringMatching(refusal) })
  })

  it('has no other tests for PostgreSQL', () => {
    expect(Object.keys(outcomes).sort()).toEqual([...PASSING, ...REFUSED_TESTS.map(({ test }) => test)].sort())
  })

  it('leaves no instance behind', async () => {
    expect((await (await coffer.login()).call('GET', '/instances')).body).toEqual({ instances: [] })
  })
})

const EXTENSIONS = administratorExtensions(18)

describe('the extensions that the documentation lists', () => {
  const ann = { user: 'ann', password: 'ann-pw-1' }
  let root: { user: string; password: string }
  let shop: Answer['body']
  beforeAll(async () => {
    const demo = await coffer.login()
    const users = [{ name: ann.user, password: ann.password }]
    shop = await createInstance(demo, { databases: [{ name: 'cart' }], users })
    const { body } = await demo.call('POST', `/instances/${shop.id}/root`)
    root = { user: body.user.name, password: body.user.password }
    await query(shop, { ...root, database: 'postgres' }, 'CREATE DATABASE anns OWNER ann')
  }, 60_000)

  const installed = async (login: { user: string; password: string; database: string }) => {
    await query(shop, login, EXTENSIONS.map(name => `CREATE EXTENSION "${name}"`).join(';'))
    const rows = await query(shop, login, "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1")
    return rows.map(({ extname }) => extname)
  }

  it('are installed by root in a database of the API', async () => {
    expect(await installed({ ...root, database: 'cart' })).toEqual([...EXTENSIONS].sort())
  })

  it('are installed by the user who owns the database, because each is trusted', async () => {
    expect(await installed({ ...ann, database: 'anns' })).toEqual([...EXTENSIONS].sort())
  })
})
