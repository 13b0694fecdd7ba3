import { describe, expect, it } from '@jest/globals'
import { postgresqlManifest } from '../../../lib/datastores/postgresql/manifest.ts'
import { showConfiguration } from '../../../lib/instances/verbs/show-configuration.ts'
import { type Instance, instances } from '../../../lib/model/instance.ts'
import { silentLog } from '../../kit/random.ts'
import { World } from '../../sim/world.ts'

const ID = '00000000-0000-4000-8000-000000000001'
const DATASTORE = { type: 'postgresql', manager: 'postgresql', versionId: 'v' }

async function configurationOf(datastore: Instance['datastore']): Promise<unknown> {
  const { platform } = await new World().open()
  const times = { created: 0, updated: 0, generation: 1 }
  const shop = { name: 'shop', flavor: '1', volume: { sizeGb: 1 } }
  await platform.store.transact([instances.create('p1', ID, { id: ID, project: 'p1', ...times, ...shop, datastore })])
  const caller = { project: 'p1', user: 'u1', admin: false, requestId: 'r', baseUrl: '', query: {}, body: undefined }
  const { body } = await showConfiguration({
    ...caller,
    deps: platform,
    method: 'GET',
    params: { id: ID },
    log: silentLog,
  })
  return Object(body).instance.configuration
}

const defaultsOf = (version?: string) => postgresqlManifest.defaultConfiguration({ ramMb: 512, vcpus: 1 }, version)

describe('showConfiguration', () => {
  it.each(postgresqlManifest.versions)('shows the default settings of engine $name', async ({ name, version }) => {
    expect(await configurationOf({ ...DATASTORE, versionName: name, version })).toEqual(defaultsOf(version))
  })

  it.each(['shop 17', '17', 'the best'])(
    'shows the settings of the engine for a version that an admin named %s',
    async name => {
      expect(await configurationOf({ ...DATASTORE, versionName: name, version: name, engine: '15' })).toEqual(
        defaultsOf('15.18'),
      )
    },
  )

  it('shows the settings of the newest engine for one that no longer exists', async () => {
    expect(await configurationOf({ ...DATASTORE, versionName: '14', version: '14.1' })).toEqual(defaultsOf())
  })

  it('shows a setting only from the major version that introduced it', () => {
    // From the release notes: reserved_connections came with 16, allow_alter_system with 17, io_method with 18.
    expect(['15.18', '16.14', '17.10', '18.3'].map(version => 'reserved_connections' in defaultsOf(version))).toEqual([
      false,
      true,
      true,
      true,
    ])
    expect([defaultsOf('16.14'), defaultsOf('17.10')].map(settings => 'allow_alter_system' in settings)).toEqual([
      false,
      true,
    ])
    expect([defaultsOf('17.10'), defaultsOf('18.4')].map(settings => 'io_method' in settings)).toEqual([false, true])
  })
})
