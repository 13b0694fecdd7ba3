import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createActive, type Login, type ShownInstance, startWorld, type World } from './clients.ts'

// What a user sees after a mistake: Trove's message through the real client, and an exit code for scripts.
describe('wrong input', () => {
  let world: World
  let shop: ShownInstance
  beforeAll(async () => {
    world = await startWorld()
    shop = await createActive(world, world.demo, 'shop', '--databases cart --users ann:secret1')
  }, 120_000)
  afterAll(() => world.end(), 60_000)

  async function expectRefused(
    command: string | string[],
    message: string | RegExp,
    login: Login = world.demo,
  ): Promise<void> {
    const { code, out, err } = await world.openstack(login, command)
    expect({ command, code, out }).toEqual({ command, code: 1, out: '' })
    expect(err).toMatch(message)
  }
  const CREATE = 'database instance create x --flavor 1 --size 1'

  it('is refused with 401 for an unknown login', async () => {
    const unauthorized = 'The request you have made requires authentication. (HTTP 401)'
    await expectRefused('database flavor list', unauthorized, { ...world.demo, OS_PASSWORD: 'wrong' })
    await expectRefused('database flavor list', unauthorized, { ...world.demo, OS_USERNAME: 'nobody' })
    await expectRefused('database flavor list', /HTTP 401/, { ...world.demo, OS_PROJECT_NAME: 'alt' })
    const token = { OS_AUTH_TYPE: 'v3token', OS_TOKEN: 'garbage', OS_AUTH_URL: world.demo['OS_AUTH_URL'] ?? '' }
    await expectRefused('database flavor list', /HTTP 40[14]/, {
      ...token,
      OS_PROJECT_NAME: 'demo',
      OS_PROJECT_DOMAIN_NAME: 'Default',
    })
  })

  it('is refused for datastores, flavors, instances, databases and users that do not exist', async () => {
    await expectRefused(
      `${CREATE} --datastore nosuch --datastore-version 18`,
      "Datastore 'nosuch' cannot be found. (HTTP 404)",
    )
    await expectRefused(
      `${CREATE} --datastore postgresql --datastore-version 9`,
      "Datastore version '9' cannot be found. (HTTP 400)",
    )
    await expectRefused(
      'database instance create x --flavor 99 --size 1',
      "No flavor with a name or ID of '99' exists.",
    )
    await expectRefused('database instance show nosuch', "No instance with a name or ID of 'nosuch' exists.")
    await expectRefused('database instance delete nosuch', /404/)
    await expectRefused('database db list nosuch', "No instance with a name or ID of 'nosuch' exists.")
    await expectRefused('datastore show nosuch', "No datastore with a name or ID of 'nosuch' exists.")
    await expectRefused('datastore version list nosuch', "Datastore 'nosuch' cannot be found. (HTTP 404)")
    await expectRefused('database db delete shop nosuch', 'Database nosuch cannot be found on the instance. (HTTP 404)')
    await expectRefused('database user show shop ghost', 'User ghost@% cannot be found on the instance. (HTTP 404)')
    await expectRefused('database user delete shop ghost', 'User ghost@% cannot be found on the instance. (HTTP 404)')
    await expectRefused(
      'database user grant access shop ann nosuch',
      'Database nosuch cannot be found on the instance. (HTTP 404)',
    )
    await expectRefused(
      'database user revoke access shop ann postgres',
      'has no access to database postgres. (HTTP 404)',
    )
  })

  it('is refused for databases and users that exist already or are named twice', async () => {
    await expectRefused('database db create shop cart', "Database 'cart' already exists. (HTTP 400)")
    await expectRefused('database user create shop ann pw', "User 'ann' already exists. (HTTP 400)")
    await expectRefused(`${CREATE} --databases a a`, "Database 'a' is given twice. (HTTP 400)")
    await expectRefused(`${CREATE} --users a:1 a:2`, "User 'a' is given twice. (HTTP 400)")
  })

  it('is refused for names that are reserved or not possible', async () => {
    await expectRefused('database db create shop postgres', 'Database name postgres is reserved. (HTTP 400)')
    await expectRefused('database user create shop postgres pw', 'User name postgres is reserved. (HTTP 400)')
    await expectRefused('database user create shop os_admin pw', 'User name os_admin is reserved. (HTTP 400)')
    await expectRefused(['database', 'db', 'create', 'shop', 'x'.repeat(64)], 'HTTP 400')
    await expectRefused(['database', 'db', 'create', 'shop', 'ž'.repeat(32)], 'HTTP 400')
    await expectRefused(['database', 'db', 'create', 'shop', ''], 'HTTP 400')
    await expectRefused(['database', 'user', 'create', 'shop', 'u'.repeat(64), 'pw'], 'HTTP 400')
    await expectRefused('database instance create !!! --flavor 1 --size 1', /instance\['name'\].* \(HTTP 400\)/)
  })

  it('is refused for missing or wrong values', async () => {
    await expectRefused('database instance create x --flavor 1', /volume.* \(HTTP 400\)/i)
    await expectRefused('database instance create x --flavor 1 --size 0', 'must be an integer and greater than 0')
    await expectRefused(
      'database instance create x --flavor 1 --size 11',
      /cannot exceed maximum of 10 GB.* \(HTTP 413\)/,
    )
    await expectRefused(['database', 'user', 'create', 'shop', 'eve', ''], 'HTTP 400')
    await expectRefused('database user create shop eve pw --host not/a/host', 'HTTP 400')
  })

  it('is refused with 413 beyond the quota', async () => {
    // 40 GB of volumes: shop has 1, four of 9 fit, the next does not.
    const ids: string[] = []
    for (const name of ['q1', 'q2', 'q3', 'q4']) {
      ids.push((await world.json<ShownInstance>(world.demo, `database instance create ${name} --flavor 1 --size 9`)).id)
    }
    await expectRefused(
      'database instance create q5 --flavor 1 --size 4',
      "Quota exceeded for resources: ['volumes']. (HTTP 413)",
    )
    expect(await world.json<unknown[]>(world.demo, 'database instance list')).toHaveLength(5)
    for (const id of ids)
      expect(await world.openstack(world.demo, `database instance delete ${id}`)).toMatchObject({ code: 0 })
  })

  it('has changed nothing', async () => {
    expect(await world.json(world.demo, 'database db list shop')).toEqual([{ Name: 'cart' }])
    expect(await world.json(world.demo, 'database user list shop')).toEqual([
      { Name: 'ann', Host: '%', Databases: 'cart' },
    ])
    expect(shop.id).toBe((await world.json<ShownInstance>(world.demo, 'database instance show shop')).id)
  })
})
