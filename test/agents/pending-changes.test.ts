import { beforeEach, describe, expect, it } from '@jest/globals'
import { agentCommands, guestClient } from '../../lib/agents/agent.ts'
import { routes as databaseRoutes } from '../../lib/databases/routes.ts'
import { parseAs } from '../../lib/kit/http/parse.ts'
import { type Call, router } from '../../lib/kit/http/route.ts'
import { instanceSubject } from '../../lib/model/instance.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { routes as userRoutes } from '../../lib/users/routes.ts'
import { silentLog } from '../kit/random.ts'
import { PROJECT, scenarios, theInstance } from '../laws/scenarios.ts'
import { NO_FAULTS } from '../sim/bus.ts'
import { perform } from '../sim/perform.ts'
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

/** Calls a route as the pipeline does, and runs the world until it responds. Returns the status and message. */
async function send(method: string, tail: string, body?: unknown): Promise<[number, string?]> {
  const match = find(method, `/v1.0/${PROJECT}/instances/${instance}${tail}`)
  if (!match) throw new Error(`no route ${method} ${tail}`)
  const call: Call<unknown, Platform> = {
    deps: world.platform,
    method,
    params: match.params,
    query: {},
    body: match.route.body && parseAs(match.route.body, body),
    project: PROJECT,
    user: 'u1',
    admin: false,
    requestId: 'req-1',
    baseUrl: 'https://db.example.org',
    log: silentLog,
  }
  let response: [number, string?] | undefined
  const handled = perform(world.platform, () => match.route.handle(call as Call<never, Platform>)).then(
    ({ status }): [number] => [status],
    (error): [number, string] => [Object(error).status, Object(error).message],
  )
  void handled.then(result => {
    response = result
  })
  await world.until('response', async () => response !== undefined, 60_000)
  return response ?? [0]
}

/** Enqueues a command that does not reach the agent yet, as if it were busy with another one. */
async function enqueue(command: (agent: ReturnType<typeof guestClient>) => Promise<unknown>): Promise<void> {
  world.faults = { ...NO_FAULTS, lost: 100 }
  await command(guestClient(world.platform, { project: PROJECT, instance, requestId: 'req-0' }))
  world.faults = NO_FAULTS
}

/** Runs the world until all commands are done. Returns what the server executed since it was created, in order. */
async function finishCommands(): Promise<string[]> {
  const rows = async () =>
    (await agentCommands.ofSubject(world.store, instanceSubject(instance), { limit: 100 })).map(({ body }) => body)
  await world.until('end', async () => (await rows()).every(({ status }) => status !== 'issued'))
  expect((await rows()).filter(({ status }) => status !== 'done')).toEqual([])
  return [...world.machine.servers.values()].flatMap(({ driver }) => driver.executed).slice(SETUP.length)
}
const SETUP = ['prepare', 'create_database cart', 'create_user ann']

const GRANT = { databases: [{ name: 'stock' }] }
const bob = { name: 'bob', password: 'canary-2', host: '10.0.0.%', databases: [{ name: 'stock' }] }
const enqueueCreate = () => enqueue(agent => agent.create_database({ databases: [{ name: 'stock' }] }))

describe('a database whose create command is pending', () => {
  beforeEach(enqueueCreate)

  it('can be granted to a new user', async () => {
    expect(await send('POST', '/users', { users: [bob] })).toEqual([202])
    expect(await finishCommands()).toEqual(['create_database stock', 'create_user bob'])
  })

  it('can be granted to an existing user', async () => {
    expect(await send('PUT', '/users/ann/databases', GRANT)).toEqual([202])
    expect(await finishCommands()).toEqual(['create_database stock'])
    const [guest] = world.machine.servers.values()
    expect(await guest?.driver.list_access({ name: 'ann' })).toEqual([{ name: 'cart' }, { name: 'stock' }])
  })

  it('can be deleted and created again immediately', async () => {
    expect(await send('POST', '/databases', GRANT)).toEqual([400, "Database 'stock' already exists."])
    await enqueue(agent => agent.delete_database({ name: 'stock' }))
    expect(await send('DELETE', '/databases/stock')).toEqual([404, 'Database stock cannot be found on the instance.'])
    expect(await send('PUT', '/users/ann/databases', GRANT)).toEqual([404, expect.stringContaining('Database stock')])
    expect(await send('POST', '/databases', GRANT)).toEqual([202])
    expect(await finishCommands()).toEqual(['create_database stock', 'delete_database stock', 'create_database stock'])
  })

  it('does not make another database grantable', async () => {
    const nothing = { databases: [{ name: 'nothing' }] }
    const missing = [404, 'Database nothing cannot be found on the instance.']
    expect(await send('POST', '/users', { users: [{ ...bob, ...nothing }] })).toEqual(missing)
    expect(await send('PUT', '/users/ann/databases', nothing)).toEqual(missing)
    expect(await finishCommands()).toEqual(['create_database stock'])
  })
})

describe('a user whose create command is pending', () => {
  beforeEach(() => enqueue(agent => agent.create_user({ users: [{ ...bob, databases: [] }] })))

  it('can be granted databases', async () => {
    expect(await send('PUT', '/users/bob/databases', { databases: [{ name: 'cart' }] })).toEqual([202])
    const [guest] = world.machine.servers.values()
    expect(await guest?.driver.list_access({ name: 'bob' })).toEqual([{ name: 'cart' }])
  })

  it('can get another password, and be deleted', async () => {
    expect(await send('PUT', '/users', { users: [{ name: 'bob', password: 'canary-3' }] })).toEqual([202])
    expect(await send('PUT', '/users/bob@10.0.0.%25', { user: { password: 'canary-4' } })).toEqual([202])
    expect(await send('DELETE', '/users/bob')).toEqual([202])
    expect(await finishCommands()).toEqual(['create_user bob', 'delete_user bob'])
  })

  it('does not match another host, and is shown only once it is created', async () => {
    const missing = (id: string) => [404, `User ${id} cannot be found on the instance.`]
    expect(await send('DELETE', '/users/bob@10.0.0.9')).toEqual(missing('bob@10.0.0.9'))
    expect(await send('GET', '/users/bob')).toEqual(missing('bob@%'))
    await finishCommands()
    expect(await send('GET', '/users/bob')).toEqual([200])
  })

  it('has its new name as soon as the change is accepted', async () => {
    await enqueue(agent => agent.update_attributes({ name: 'bob', attributes: { name: 'eve', host: '%' } }))
    expect(await send('DELETE', '/users/bob')).toEqual([404, 'User bob@% cannot be found on the instance.'])
    expect(await send('POST', '/users', { users: [{ name: 'eve', password: 'canary-5' }] })).toEqual([
      400,
      "User 'eve' already exists.",
    ])
    expect(await send('PUT', '/users/eve@%25', { user: { password: 'canary-6' } })).toEqual([202])
  })

  it('cannot be created twice, but again once its deletion is accepted', async () => {
    expect(await send('POST', '/users', { users: [{ ...bob, databases: [] }] })).toEqual([
      400,
      "User 'bob' already exists.",
    ])
    await enqueue(agent => agent.delete_user({ name: 'bob' }))
    expect(await send('PUT', '/users/bob', { user: { password: 'canary-7' } })).toEqual([404, expect.any(String)])
    expect(await send('POST', '/users', { users: [{ ...bob, databases: [] }] })).toEqual([202])
    expect(await finishCommands()).toEqual(['create_user bob', 'delete_user bob', 'create_user bob'])
  })
})

describe('withPendingChanges', () => {
  it('ignores a cancelled command, and sees one that waits behind many others', async () => {
    await enqueueCreate()
    for (let n = 0; n < 48; n++) await enqueue(agent => agent.create_database({ databases: [{ name: `d${n}` }] }))
    const rows = await agentCommands.ofSubject(world.store, instanceSubject(instance), { limit: 100 })
    const [, first] = rows
    if (!first) throw new Error('no command')
    await world.store.transact([agentCommands.replace(first, { ...first.body, status: 'cancelled' })])
    expect(await send('PUT', '/users/ann/databases', GRANT)).toEqual([404, expect.stringContaining('Database stock')])
    expect(await send('PUT', '/users/ann/databases', { databases: [{ name: 'd47' }] })).toEqual([202])
  })
})
