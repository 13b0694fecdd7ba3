import { beforeEach, describe, expect, it } from '@jest/globals'
import { routes as databaseRoutes } from '../../lib/databases/routes.ts'
import { commands, guestClient } from '../../lib/guests/guest.ts'
import { validated } from '../../lib/kit/http/parse.ts'
import { type Call, router } from '../../lib/kit/http/route.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { routes as userRoutes } from '../../lib/users/routes.ts'
import { silentLog } from '../kit/random.ts'
import { PROJECT, scenarios, theInstance } from '../laws/scenarios.ts'
import { NO_FAULTS } from '../sim/bus.ts'
import { World } from '../sim/world.ts'

const find = router([...databaseRoutes, ...userRoutes])

let world: World
let instance: string
beforeEach(async () => {
  world = await new World().open()
  await world.request(platform => scenarios.create_instance.begin(platform))
  await world.until('instance', () => scenarios.create_instance.done(world))
  instance = (await theInstance(world))?.id ?? ''
})

/** Asks as the pipeline does, and lets the world go on until there is an answer; answers status and message. */
async function ask(method: string, tail: string, body?: unknown): Promise<[number, string?]> {
  const match = find(method, `/v1.0/${PROJECT}/instances/${instance}${tail}`)
  if (!match) throw new Error(`no route ${method} ${tail}`)
  const call: Call<unknown, Platform> = {
    deps: world.platform,
    method,
    params: match.params,
    query: {},
    body: match.route.body && validated(match.route.body, body),
    project: PROJECT,
    user: 'u1',
    admin: false,
    requestId: 'req-1',
    base: 'https://db.example.org',
    log: silentLog,
  }
  let answer: [number, string?] | undefined
  const handled = match.route.handle(call as Call<never, Platform>).then(
    ({ status }): [number] => [status],
    (error): [number, string] => [Object(error).status, Object(error).message],
  )
  void handled.then(got => {
    answer = got
  })
  await world.until('answer', async () => answer !== undefined, 60_000)
  return answer ?? [0]
}

/** Accepts commands that the agent does not hear of yet, as one that is busy with another. */
async function accepted(ask: (agent: ReturnType<typeof guestClient>) => Promise<unknown>): Promise<void> {
  world.faults = { ...NO_FAULTS, lost: 100 }
  await ask(guestClient(world.platform, { project: PROJECT, instance, requestId: 'req-0' }))
  world.faults = NO_FAULTS
}

/** Lets all that was accepted be done; answers what the server did since it was made, in order. */
async function done(): Promise<string[]> {
  const rows = async () => (await commands.ofInstance(world.store, instance, { limit: 100 })).map(({ body }) => body)
  await world.until('end', async () => (await rows()).every(({ status }) => status !== 'issued'))
  expect((await rows()).filter(({ status }) => status !== 'done')).toEqual([])
  return [...world.machine.servers.values()].flatMap(({ driver }) => driver.executed).slice(MADE.length)
}
const MADE = ['prepare', 'create_database cart', 'create_user ann']

const GRANT = { databases: [{ name: 'late' }] }
const bob = { name: 'bob', password: 'canary-2', host: '10.0.0.%', databases: [{ name: 'late' }] }
const late = () => accepted(agent => agent.create_database({ databases: [{ name: 'late' }] }))

describe('a database that was accepted, and is not made yet', () => {
  beforeEach(late)

  it('can be granted to a new user', async () => {
    expect(await ask('POST', '/users', { users: [bob] })).toEqual([202])
    expect(await done()).toEqual(['create_database late', 'create_user bob'])
  })

  it('can be granted to one that is there', async () => {
    expect(await ask('PUT', '/users/ann/databases', GRANT)).toEqual([202])
    expect(await done()).toEqual(['create_database late'])
    const [guest] = world.machine.servers.values()
    expect(await guest?.driver.list_access('ann', undefined)).toEqual([{ name: 'cart' }, { name: 'late' }])
  })

  it('can be deleted, and made anew at once', async () => {
    expect(await ask('POST', '/databases', GRANT)).toEqual([400, "Database 'late' already exists."])
    await accepted(agent => agent.delete_database({ name: 'late' }))
    expect(await ask('DELETE', '/databases/late')).toEqual([404, 'Database late cannot be found on the instance.'])
    expect(await ask('PUT', '/users/ann/databases', GRANT)).toEqual([404, expect.stringContaining('Database late')])
    expect(await ask('POST', '/databases', GRANT)).toEqual([202])
    expect(await done()).toEqual(['create_database late', 'delete_database late', 'create_database late'])
  })

  it('lets no other be granted', async () => {
    const nothing = { databases: [{ name: 'nothing' }] }
    const missing = [404, 'Database nothing cannot be found on the instance.']
    expect(await ask('POST', '/users', { users: [{ ...bob, ...nothing }] })).toEqual(missing)
    expect(await ask('PUT', '/users/ann/databases', nothing)).toEqual(missing)
    expect(await done()).toEqual(['create_database late'])
  })
})

describe('a user that was accepted, and is not made yet', () => {
  beforeEach(() => accepted(agent => agent.create_user({ users: [{ ...bob, databases: [] }] })))

  it('can be granted databases', async () => {
    expect(await ask('PUT', '/users/bob/databases', { databases: [{ name: 'cart' }] })).toEqual([202])
    const [guest] = world.machine.servers.values()
    expect(await guest?.driver.list_access('bob', undefined)).toEqual([{ name: 'cart' }])
  })

  it('can get another password, and be deleted', async () => {
    expect(await ask('PUT', '/users', { users: [{ name: 'bob', password: 'canary-3' }] })).toEqual([202])
    expect(await ask('PUT', '/users/bob@10.0.0.%25', { user: { password: 'canary-4' } })).toEqual([202])
    expect(await ask('DELETE', '/users/bob')).toEqual([202])
    expect(await done()).toEqual(['create_user bob', 'delete_user bob'])
  })

  it('is not of another host, and is shown once it is made', async () => {
    const missing = (id: string) => [404, `User ${id} cannot be found on the instance.`]
    expect(await ask('DELETE', '/users/bob@10.0.0.9')).toEqual(missing('bob@10.0.0.9'))
    expect(await ask('GET', '/users/bob')).toEqual(missing('bob@%'))
    await done()
    expect(await ask('GET', '/users/bob')).toEqual([200])
  })

  it('has its new name from when that was accepted', async () => {
    await accepted(agent => agent.update_attributes({ name: 'bob', attributes: { name: 'eve', host: '%' } }))
    expect(await ask('DELETE', '/users/bob')).toEqual([404, 'User bob@% cannot be found on the instance.'])
    expect(await ask('POST', '/users', { users: [{ name: 'eve', password: 'canary-5' }] })).toEqual([
      400,
      "User 'eve' already exists.",
    ])
    expect(await ask('PUT', '/users/eve@%25', { user: { password: 'canary-6' } })).toEqual([202])
  })

  it('is not made twice, and can be made again once its end was accepted', async () => {
    expect(await ask('POST', '/users', { users: [{ ...bob, databases: [] }] })).toEqual([
      400,
      "User 'bob' already exists.",
    ])
    await accepted(agent => agent.delete_user({ name: 'bob' }))
    expect(await ask('PUT', '/users/bob', { user: { password: 'canary-7' } })).toEqual([404, expect.any(String)])
    expect(await ask('POST', '/users', { users: [{ ...bob, databases: [] }] })).toEqual([202])
    expect(await done()).toEqual(['create_user bob', 'delete_user bob', 'create_user bob'])
  })
})

it('what is cancelled, or waits behind many, is seen for what it is', async () => {
  await late()
  for (let n = 0; n < 48; n++) await accepted(agent => agent.create_database({ databases: [{ name: `d${n}` }] }))
  const rows = await commands.ofInstance(world.store, instance, { limit: 100 })
  const [, first] = rows
  if (!first) throw new Error('no command')
  await world.store.transact([commands.replace(first, { ...first.body, status: 'cancelled' })])
  expect(await ask('PUT', '/users/ann/databases', GRANT)).toEqual([404, expect.stringContaining('Database late')])
  expect(await ask('PUT', '/users/ann/databases', { databases: [{ name: 'd47' }] })).toEqual([202])
})
