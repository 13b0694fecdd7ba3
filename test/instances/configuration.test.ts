import { expect, it } from '@jest/globals'
import { postgresql } from '../../lib/datastores/postgresql/manifest.ts'
import { showConfiguration } from '../../lib/instances/configuration.ts'
import { type Instance, instances } from '../../lib/instances/instance.ts'
import { silentLog } from '../kit/random.ts'
import { World } from '../sim/world.ts'

const ID = '00000000-0000-4000-8000-000000000001'
const DATASTORE = { type: 'postgresql', manager: 'postgresql', versionId: 'v' }

async function shown(datastore: Instance['datastore']): Promise<unknown> {
  const { platform } = await new World().open()
  const times = { created: 0, updated: 0, generation: 1 }
  const made = { name: 'shop', flavor: '1', volume: { sizeGb: 1 }, task: 'NONE' as const }
  await platform.store.transact([instances.create('p1', ID, { id: ID, project: 'p1', ...times, ...made, datastore })])
  const known = { project: 'p1', user: 'u1', admin: false, requestId: 'r', base: '', query: {}, body: undefined }
  const { body } = await showConfiguration({
    ...known,
    deps: platform,
    method: 'GET',
    params: { id: ID },
    log: silentLog,
  })
  return Object(body).instance.configuration
}

const of = (version?: string) => postgresql.defaultConfiguration({ ramMb: 512, vcpus: 1 }, version)

it.each(postgresql.versions)('the configuration is that of the engine $name', async ({ name, version }) => {
  expect(await shown({ ...DATASTORE, versionName: name, version })).toEqual(of(version))
})

it.each(['shop 17', '17', 'the best'])(
  'the configuration of a version that an admin calls %s is its engine’s',
  async own => {
    expect(await shown({ ...DATASTORE, versionName: own, version: own, engine: '15' })).toEqual(of('15.18'))
  },
)

it('the configuration of an engine that is no more is that of the newest', async () => {
  expect(await shown({ ...DATASTORE, versionName: '14', version: '14.1' })).toEqual(of())
})

it('the configuration has what PostgreSQL got with a major version only from there on', () => {
  // Of the release notes: reserved_connections came with 16, allow_alter_system with 17, io_method with 18.
  expect(['15.18', '16.14', '17.10', '18.3'].map(version => 'reserved_connections' in of(version))).toEqual([
    false,
    true,
    true,
    true,
  ])
  expect([of('16.14'), of('17.10')].map(settings => 'allow_alter_system' in settings)).toEqual([false, true])
  expect([of('17.10'), of('18.4')].map(settings => 'io_method' in settings)).toEqual([false, true])
})
