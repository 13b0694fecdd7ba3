import { beforeEach, describe, expect, it } from '@jest/globals'
import type { GuestCapability } from '../../lib/contracts/guest/guest.ts'
import type { Capabilities } from '../../lib/datastores/capabilities.ts'
import type { Manifest } from '../../lib/datastores/manifest.ts'
import { memoryManifest } from '../../lib/datastores/memory/manifest.ts'
import type { EmbeddedQueue } from '../../lib/platform/queue/embedded/queue.ts'
import { sendRequest } from '../sim/api.ts'
import { World } from '../sim/world.ts'

const CREATE = { name: 'shop', flavorRef: 1, volume: { size: 1 } }
const USER = { name: 'ann', password: 'pw1' }

/** How many messages the world has sent. */
let messages = 0

/** A world whose only datastore has these capabilities. */
async function worldWith(can: Capabilities): Promise<World> {
  const bare: Manifest = { ...memoryManifest, name: 'bare', manager: 'bare', can }
  messages = 0
  const queue = (inner: EmbeddedQueue): EmbeddedQueue => ({
    ...inner,
    send: (...batch) => {
      messages += batch[1].length
      return inner.send(...batch)
    },
  })
  return new World(1, { datastores: { manifests: { bare } }, queue }).open()
}

async function send(world: World, method: string, path: string, body?: unknown) {
  const response = await sendRequest(world, { method, path, body })
  return { status: response?.status, ...(response?.text && { body: JSON.parse(response.text) }) }
}

/** The requests that take a capability, and the operation that their refusal names. */
const REQUESTS: [capability: GuestCapability, method: string, path: string, body: unknown, operation: string][] = [
  ['databases', 'GET', '/databases', undefined, 'list_databases'],
  ['databases', 'POST', '/databases', { databases: [{ name: 'cart' }] }, 'create_database'],
  ['databases', 'DELETE', '/databases/cart', undefined, 'delete_database'],
  ['users', 'GET', '/users', undefined, 'list_users'],
  ['users', 'POST', '/users', { users: [USER] }, 'create_user'],
  ['users', 'PUT', '/users', { users: [USER] }, 'change_passwords'],
  ['users', 'GET', '/users/ann', undefined, 'get_user'],
  ['users', 'PUT', '/users/ann', { user: { password: 'pw2' } }, 'update_attributes'],
  ['users', 'DELETE', '/users/ann', undefined, 'delete_user'],
  ['users', 'GET', '/users/ann/databases', undefined, 'list_access'],
  ['users', 'PUT', '/users/ann/databases', { databases: [{ name: 'cart' }] }, 'grant_access'],
  ['users', 'DELETE', '/users/ann/databases/cart', undefined, 'revoke_access'],
  ['root', 'GET', '/root', undefined, 'is_root_enabled'],
  ['root', 'POST', '/root', undefined, 'enable_root_with_password'],
  ['root', 'DELETE', '/root', undefined, 'disable_root'],
  ['tls', 'GET', '/ssl', undefined, 'ssl_show'],
  ['tls', 'POST', '/ssl', { ssl: { enable: true } }, 'ssl_action'],
  ['tls', 'POST', '/ssl', { ssl: { rollback: true } }, 'ssl_rollback'],
  ['access', 'PUT', '', { instance: { access: { allowed_cidrs: ['10.0.0.0/8'] } } }, 'update_access'],
]

const refusal = (operation: string) => ({
  status: 501,
  body: {
    notImplemented: {
      code: 501,
      message: `The '${operation}' operation is not supported for the 'bare' datastore.`,
    },
  },
})

describe.each(REQUESTS)('without %s, %s %s', (capability, method, path, body, operation) => {
  let world: World
  let id: string
  beforeEach(async () => {
    const { [capability]: _, ...rest } = memoryManifest.can
    world = await worldWith(rest)
    id = (await send(world, 'POST', '/instances', { instance: CREATE })).body.instance.id
    const isActive = async () => (await send(world, 'GET', `/instances/${id}`)).body.instance.status === 'ACTIVE'
    await world.until('ACTIVE instance', isActive)
  })

  it("is refused in Trove's words, before a message is sent", async () => {
    const before = messages
    expect(await send(world, method, `/instances/${id}${path}`, body)).toEqual(refusal(operation))
    expect(messages).toBe(before)
  })
})

describe('a create', () => {
  it.each([
    ['create_database', { databases: [{ name: 'cart' }] }],
    ['create_user', { users: [USER] }],
    ['update_access', { access: { allowed_cidrs: ['10.0.0.0/8'] } }],
  ])('is refused for what %s is not supported for', async (operation, fields) => {
    const world = await worldWith({})
    expect(await send(world, 'POST', '/instances', { instance: { ...CREATE, ...fields } })).toEqual(refusal(operation))
    expect(messages).toBe(0)
  })

  it('may name empty lists of what its datastore does not have', async () => {
    const empty = { databases: [], users: [], access: { is_public: true } }
    const { status } = await send(await worldWith({}), 'POST', '/instances', { instance: { ...CREATE, ...empty } })
    expect(status).toBe(200)
  })

  it('cannot grant databases to users where there are none', async () => {
    const { users } = memoryManifest.can
    const granted = { ...USER, databases: [{ name: 'cart' }] }
    const world = await worldWith({ users })
    const { status } = await send(world, 'POST', '/instances', { instance: { ...CREATE, users: [granted] } })
    expect(status).toBe(400)
  })
})
