import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { address, createActive, type ShownInstance, startWorld, type World } from './clients.ts'

type Row = Record<string, unknown>

// python-troveclient's commands of root, quotas and management.
describe('openstack database: root, quotas and management', () => {
  let world: World
  let shop: ShownInstance
  beforeAll(async () => {
    world = await startWorld()
    shop = await createActive(world, world.demo, 'shop', '--databases cart')
  }, 120_000)
  afterAll(() => world.end(), 60_000)

  const demoProject = async () => (await world.json<Row>(world.admin, 'project show demo'))['id']

  it('enables, shows and disables root', async () => {
    const rootStatus = () => world.json<Row>(world.demo, 'database root show shop')
    expect(await rootStatus()).toEqual({ is_root_enabled: false })
    const generated = await world.json<Row>(world.demo, 'database root enable shop')
    expect(generated).toEqual({ name: 'root', password: expect.stringMatching(/^.{36}$/) })
    const login = (password: unknown) =>
      world.python(
        {},
        `import psycopg
with psycopg.connect('${address(shop)} user=root dbname=cart', password=${JSON.stringify(password)}) as connection:
    result = connection.execute('SHOW is_superuser').fetchall()`,
      )
    expect(await login(generated['password'])).toEqual({ result: [['off']] })
    expect(await rootStatus()).toEqual({ is_root_enabled: true })
    const chosen = await world.json<Row>(world.demo, 'database root enable shop --root_password secret7')
    expect(chosen).toEqual({ name: 'root', password: 'secret7' })
    expect((await world.openstack(world.demo, 'database root disable shop')).code).toBe(0)
    expect(await rootStatus()).toEqual({ is_root_enabled: false })
    expect(await login('secret7')).toMatchObject({ error: 'OperationalError' })
  })

  it('shows and changes quotas', async () => {
    const rows = await world.json<Row[]>(world.admin, `database quota show ${await demoProject()}`)
    expect(rows).toContainEqual({ Resource: 'instances', 'In Use': 1, Reserved: 0, Limit: 10 })
    for (const project of ['demo', await demoProject()]) {
      expect((await world.openstack(world.admin, `database quota update ${project} volumes 7`)).err).toBe('')
    }
    const limits = await world.openstack(world.demo, 'database limit list')
    expect(limits.out).toMatch(/\| max_volumes +\| 7 +\|/)
    const denied = await world.openstack(world.demo, `database quota update ${await demoProject()} volumes 70`)
    expect([denied.code, denied.err]).toEqual([1, expect.stringContaining('User does not have admin privileges.')])
    const unknown = await world.openstack(world.admin, 'database quota update demo cores 7')
    expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('HTTP 404')])
  })

  it('lists the instances of all projects and shows one', async () => {
    const other = await createActive(world, world.alt, 'other')
    const rows = (options: string) => world.json<Row[]>(world.admin, `database instance list ${options}`.trim())
    const names = async (options: string) => (await rows(options)).map(row => row['Name']).toSorted()
    expect(await names('--all-projects')).toEqual(['other', 'shop'])
    expect(await rows('')).toEqual([])
    expect(await names(`--project-id ${await demoProject()}`)).toEqual(['shop'])
    expect(await names('--all-projects --limit 1')).toHaveLength(1)
    expect(await world.json<ShownInstance>(world.admin, `database instance show ${other.id}`)).toMatchObject({
      name: 'other',
    })
    const denied = await world.openstack(world.demo, 'database instance list --all-projects')
    expect([denied.code, denied.err]).toEqual([1, expect.stringContaining('User does not have admin privileges.')])
  }, 180_000)

  it('answers the management calls of the library', async () => {
    const { result, ...failure } = await world.python(
      world.admin,
      `import os
from keystoneauth1 import loading, session
from troveclient.v1 import client, diagnostics
auth = loading.get_plugin_loader('password').load_from_options(
    auth_url=os.environ['OS_AUTH_URL'], username=os.environ['OS_USERNAME'], password=os.environ['OS_PASSWORD'],
    project_name=os.environ['OS_PROJECT_NAME'], user_domain_name='Default', project_domain_name='Default')
trove = client.Client(session=session.Session(auth=auth), service_type='database')
trove.root.create('${shop.id}')
one = trove.mgmt_instances.show('${shop.id}')
result = {
    'names': [i.name for i in trove.mgmt_instances.index()],
    'state': one.guest_status['state_description'],
    'root': trove.mgmt_instances.root_enabled_history('${shop.id}').enabled,
    'cpus': diagnostics.HwInfoInterrogator(trove).get('${shop.id}').hwinfo['num_cpus'],
    'threads': diagnostics.DiagnosticsInterrogator(trove).get('${shop.id}').threads,
    'configuration': len(trove.instances.configuration('${shop.id}').configuration) > 0,
}`,
    )
    expect(failure).toEqual({})
    expect(result).toMatchObject({ state: 'healthy', threads: 1, configuration: true })
    expect(result.names).toContain('shop')
    expect(result.root).toMatch(/^\d{4}-/)
    expect(result.cpus).toBeGreaterThanOrEqual(1)
  })
})
