import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { address, create, type Shown, startWorld, type World } from './clients.ts'

// Two projects through the real clients; that every single route keeps them apart is test/e2e's to show.
describe('two tenants', () => {
  let world: World
  let ours: Shown
  let theirs: Shown
  beforeAll(async () => {
    world = await startWorld()
    const options = '--databases cart --users ann:'
    ours = await create(world, world.demo, 'shop', `${options}ours1`)
    theirs = await create(world, world.alt, 'shop', `${options}theirs1`)
  }, 150_000)
  afterAll(() => world.end(), 60_000)

  it('may use the same names, and see their own only', async () => {
    for (const [login, own] of [
      [world.demo, ours],
      [world.alt, theirs],
    ] as const) {
      expect(await world.json<{ ID: string }[]>(login, 'database instance list')).toEqual([
        expect.objectContaining({ ID: own.id }),
      ])
      expect((await world.json<Shown>(login, 'database instance show shop')).id).toBe(own.id)
    }
    expect(ours.ip).not.toBe(theirs.ip)
  })

  it("cannot show, use or delete what is the other's", async () => {
    const show = `No instance with a name or ID of '${ours.id}' exists.`
    for (const command of [
      `database instance show ${ours.id}`,
      `database db list ${ours.id}`,
      `database db create ${ours.id} stolen`,
      `database user create ${ours.id} eve pw`,
      `database user show ${ours.id} ann`,
      `database instance force delete ${ours.id}`,
    ]) {
      expect(await world.openstack(world.alt, command)).toMatchObject({ code: 1, err: expect.stringContaining(show) })
    }
    expect(await world.openstack(world.alt, `database instance delete ${ours.id}`)).toMatchObject({ code: 1 })
    expect((await world.json<Shown>(world.demo, 'database instance show shop')).status).toBe('ACTIVE')
    expect(await world.json(world.demo, 'database db list shop')).toEqual([{ Name: 'cart' }])
  })

  it("cannot log in to the other's database", async () => {
    const attempt = (instance: Shown, password: string) =>
      world.python(
        {},
        `import psycopg\nresult = psycopg.connect('${address(instance)} user=ann password=${password} dbname=cart').execute('SELECT 1').fetchone()`,
      )
    expect(await attempt(ours, 'ours1')).toEqual({ result: [1] })
    expect(await attempt(ours, 'theirs1')).toMatchObject({ error: 'OperationalError' })
  })

  it('an admin reaches both by id, in a list of neither', async () => {
    for (const { id } of [ours, theirs])
      expect(await world.json<Shown>(world.admin, `database instance show ${id}`)).toMatchObject({ id })
    expect(await world.json(world.admin, 'database instance list')).toEqual([])
  })
})
