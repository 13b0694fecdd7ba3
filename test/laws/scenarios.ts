import { expect } from '@jest/globals'
import type { TaskmanagerMethods } from '../../lib/contracts/taskmanager.ts'
import { commands, guests } from '../../lib/guests/guest.ts'
import { requestCreate } from '../../lib/instances/create.ts'
import { CreateBody } from '../../lib/instances/create-body.ts'
import { requestDelete } from '../../lib/instances/delete.ts'
import { type Instance, instances, statusOf } from '../../lib/instances/instance.ts'
import type { Call } from '../../lib/kit/http/route.ts'
import { isOver, type SagaRecord } from '../../lib/kit/saga/saga.ts'
import { ERASED } from '../../lib/kit/secret.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { silentLog } from '../kit/random.ts'
import type { World } from '../sim/world.ts'

export const PROJECT = 'p1'

/** How a saga is begun in the simulated world, and what must be so at its end. */
export interface Scenario {
  /** Brings the world to where the saga can begin. */
  before(world: World): Promise<void>
  begin(platform: Platform): Promise<unknown>
  /** It ran to the end. */
  done(world: World): Promise<boolean>
  /** It turned round; left out where it only runs forward. */
  failed?(world: World): Promise<boolean>
}

const BODY = {
  instance: {
    name: 'shop',
    flavorRef: 1,
    volume: { size: 1 },
    databases: [{ name: 'cart' }],
    users: [{ name: 'ann', password: 'canary-1', databases: [{ name: 'cart' }] }],
  },
}

function call<B>(platform: Platform, body: B, params: Record<string, string> = {}): Call<B, Platform> {
  const known = { project: PROJECT, user: 'u1', admin: false, requestId: 'req-1', base: 'http://localhost' }
  return { ...known, deps: platform, method: 'POST', params, query: {}, body, log: silentLog }
}

export async function theInstance(world: World): Promise<Instance | undefined> {
  return (await instances.list(world.store, PROJECT, { limit: 1 }))[0]?.body
}

const create = (platform: Platform) => requestCreate(call(platform, CreateBody.parse(BODY)))

export const remove = async (platform: Platform) => {
  const [item] = await instances.list(platform.store, PROJECT, { limit: 1 })
  if (item) await requestDelete(call(platform, undefined, { id: item.body.id }))
}

async function isActive(world: World): Promise<boolean> {
  const instance = await theInstance(world)
  return instance !== undefined && statusOf(instance) === 'ACTIVE' && instance.service?.status === 'healthy'
}

/** One for every saga that the taskmanager knows: a new one does not compile without. */
export const scenarios: Record<keyof TaskmanagerMethods, Scenario> = {
  create_instance: {
    before: async () => {},
    begin: create,
    done: isActive,
    failed: async world => {
      const instance = await theInstance(world)
      return (
        instance !== undefined && statusOf(instance) === 'ERROR' && instance.fault !== undefined && !instance.operation
      )
    },
  },
  delete_instance: {
    async before(world) {
      await create(world.platform)
      await world.until('instance', () => isActive(world))
    },
    begin: remove,
    done: async world => (await theInstance(world)) === undefined,
  },
}

/** What the project has of its quota. */
export async function usedQuota(world: World): Promise<Record<string, number>> {
  const items = await world.store.list(PROJECT, 'quota', { limit: 10 })
  return Object.fromEntries(
    items.map(({ key, body }) => [key.id.slice('quota#'.length), Number(Object(body).used ?? 0)]),
  )
}

/** Nothing of a machine is left over that the store does not know of. */
export function expectBareMachine(world: World): void {
  expect([...world.machine.volumes]).toEqual([])
  expect([...world.machine.servers.keys()]).toEqual([])
  expect(world.queue.topics().filter(topic => topic.startsWith('guest-'))).toEqual([])
}

/** Nothing at all is left over but records that expire by themselves. */
export async function expectNothingLeft(world: World): Promise<void> {
  expectBareMachine(world)
  expect(await usedQuota(world)).toEqual({ instances: 0, ram: 0, volumes: 0 })
  expect((await guests.all(world.store, { limit: 10 })).items).toEqual([])
  for (const kind of ['instance', 'id', 'guest', 'command', 'machine', 'saga', 'answer', 'root', 'tombstone']) {
    const { items } = await world.store.all(kind, { limit: 100 })
    expect(items.filter(({ expires }) => expires === undefined).map(({ key }) => key.id)).toEqual([])
  }
}

/** No secret is readable in any record, and the ones whose use has ended are gone, not only encrypted. */
export async function expectNoSecrets(world: World): Promise<void> {
  for (const kind of ['instance', 'guest', 'command', 'saga', 'machine']) {
    const { items } = await world.store.all(kind, { limit: 100 })
    expect(JSON.stringify(items)).not.toContain('canary-1')
  }
}

/** The secrets of what has ended are erased. */
export async function expectErased(world: World): Promise<void> {
  const sagas = (await world.sagas()) as SagaRecord[]
  const rows = (await commands.all(world.store, { limit: 100 })).items.map(({ body }) => body)
  const over = [
    ...sagas.filter(isOver).map(({ request }) => request),
    ...rows.filter(row => row.status !== 'issued').map(({ input }) => input),
  ]
  const passwords = JSON.stringify(over).match(/"password":"[^"]*"/g) ?? []
  expect(passwords.filter(found => found !== `"password":"${ERASED}"`)).toEqual([])
}
