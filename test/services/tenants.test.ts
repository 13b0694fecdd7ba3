import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createActive, query, type ShownInstance, startWorld, type World } from './clients.ts'

// Two projects through the real clients; test/e2e shows for every route that it keeps them apart.
describe('two tenants', () => {
  let world: World
  let ours: ShownInstance
  let theirs: ShownInstance
  beforeAll(async () => {
    world = await startWorld()
    const options = '--databases cart --users ann:'
    ours = await createActive(world, world.demo, 'shop', `${options}ours1`)
    theirs = await createActive(world, world.alt, 'shop', `${options}theirs1`)
  }, 150_000)
  afterAll(() => world.end(), 60_000)

  it('may use the same names, and each sees only its own instance', async () => {
    for (const [login, instance] of [
      [world.demo, ours],
      [world.alt, theirs],
    ] as const) {
      expect(await world.json<{ ID: string }[]>(login, 'database instance list')).toEqual([
        expect.objectContaining({ ID: instance.id }),
      ])
      expect((await world.json<ShownInstance>(login, 'database instance show shop')).id).toBe(instance.id)
    }
    expect(ours.ip).not.toBe(theirs.ip)
  })

  it("cannot show, use or delete the other's instance", async () => {
    const notFound = `No instance with a name or ID of '${ours.id}' exists.`
    for (const command of [
      `database instance show ${ours.id}`,
      `database db list ${ours.id}`,
      `database db create ${ours.id} stolen`,
      `database user create ${ours.id} eve pw`,
      `database user show ${ours.id} ann`,
      `database instance force delete ${ours.id}`,
    ]) {
      expect(await world.openstack(world.alt, command)).toMatchObject({
        code: 1,
        err: expect.stringContaining(notFound),
      })
    }
    expect(await world.openstack(world.alt, `database instance delete ${ours.id}`)).toMatchObject({ code: 1 })
    expect((await world.json<ShownInstance>(world.demo, 'database instance show shop')).status).toBe('ACTIVE')
    expect(await world.json(world.demo, 'database db list shop')).toEqual([{ Name: 'cart' }])
  })

  it("cannot log in to the other's database", async () => {
    const attempt = (instance: ShownInstance, password: string) =>
      query(world, instance, `user=ann password=${password} dbname=cart`, 'SELECT 1')
    expect(await attempt(ours, 'ours1')).toEqual({ result: [[1]] })
    expect(await attempt(ours, 'theirs1')).toMatchObject({ error: 'OperationalError' })
  })

  it('are both visible to an admin by id, and in no list of the admin', async () => {
    for (const { id } of [ours, theirs])
      expect(await world.json<ShownInstance>(world.admin, `database instance show ${id}`)).toMatchObject({ id })
    expect(await world.json(world.admin, 'database instance list')).toEqual([])
  })
})
