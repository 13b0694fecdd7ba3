import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pythonEnvironment } from '../../localstack/python.ts'
import type { Coffer, OpenrcFile } from '../e2e/coffer.ts'
import { NETWORK, programResult, readLogin } from './clients.ts'

/** The outcome of a test of tempest. `text` is the reason for a skip, or a failure with its traceback. */
export interface Outcome {
  outcome: 'passed' | 'failed' | 'skipped'
  text: string
}

const VERSION = '18'
/** An older engine, from which tempest upgrades. */
const OLDER_VERSION = '18.3'

/** Runs tempest's classes for PostgreSQL (run_tempest.py). Returns the outcomes by class and test. */
export async function runTempest(coffer: Coffer, folder: string): Promise<Record<string, Outcome>> {
  mkdirSync(folder, { mode: 0o700 })
  writeFileSync(join(folder, 'accounts.yaml'), accounts(coffer))
  writeFileSync(join(folder, 'tempest.conf'), configuration(coffer, folder))
  const python = join(pythonEnvironment('requirements-tempest.txt'), 'bin', 'python')
  const child = spawn(python, [join(import.meta.dirname, 'run_tempest.py'), folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TEMPEST_CONFIG_DIR: folder, TEMPEST_CONFIG: 'tempest.conf' },
  })
  const { code, out, err } = await programResult(child)
  if (code !== 0) throw new Error(`tempest ended with ${code}:\n${err}`)
  return JSON.parse(out) as Record<string, Outcome>
}

/** The accounts that Coffer made, in JSON, which YAML contains. */
function accounts({ dataDir }: Coffer): string {
  const account = (file: OpenrcFile, role: string) => {
    const login = readLogin(join(dataDir, file))
    return {
      username: login['OS_USERNAME'],
      password: login['OS_PASSWORD'],
      project_name: login['OS_PROJECT_NAME'],
      domain_name: login['OS_PROJECT_DOMAIN_NAME'],
      roles: [role],
    }
  }
  return JSON.stringify([account('openrc-admin', 'admin'), account('openrc', 'member')])
}

/** Identity and databases are the only services. */
const configuration = ({ base }: Coffer, folder: string) => `[DEFAULT]
log_file = ${folder}/tempest.log
[oslo_concurrency]
# Below the working directory, of which each class has its own.
lock_path = locks
[auth]
use_dynamic_credentials = false
test_accounts_file = ${folder}/accounts.yaml
create_isolated_networks = false
[identity]
auth_version = v3
uri_v3 = ${base}/identity/v3
region = RegionOne
[service_available]
trove = true
cinder = false
glance = false
neutron = false
nova = false
swift = false
[database]
enabled_datastores = postgresql
default_datastore_versions = postgresql:${VERSION}
pre_upgrade_datastore_versions = postgresql:${OLDER_VERSION}
flavor_id = 1
resize_flavor_id = 2
# With a UUID, tempest does not look for the network in Neutron.
shared_network = ${NETWORK}
# Coffer accepts any type of volume.
volume_type = any
rebuild_image_id = ${NETWORK}
run_full_tests = true
remove_swift_account = false
database_build_timeout = 90
backup_wait_timeout = 90
`
