import { expect } from '@jest/globals'
import { type AuditRecord, audits } from '../../lib/audit/audit.ts'
import { guestTopic } from '../../lib/contracts/conductor.ts'
import type { TaskmanagerMethods } from '../../lib/contracts/taskmanager.ts'
import { commands, guests } from '../../lib/guests/guest.ts'
import { requestAccess } from '../../lib/instances/access.ts'
import { requestCreate } from '../../lib/instances/create.ts'
import { CreateBody } from '../../lib/instances/create-body.ts'
import { requestDelete } from '../../lib/instances/delete.ts'
import { type Instance, instances, serverOf, statusOf, volumeOf } from '../../lib/instances/instance.ts'
import { engineOf } from '../../lib/instances/parts.ts'
import { requestReboot } from '../../lib/instances/reboot.ts'
import { requestRebuild } from '../../lib/instances/rebuild.ts'
import { requestResizeFlavor } from '../../lib/instances/resize-flavor.ts'
import { requestResizeVolume } from '../../lib/instances/resize-volume.ts'
import { requestRestart } from '../../lib/instances/restart.ts'
import { sizeOf } from '../../lib/instances/server.ts'
import { requestStop } from '../../lib/instances/stop.ts'
import { requestUpgrade } from '../../lib/instances/upgrade.ts'
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
  /** It was cancelled; left out where that looks like a failure. */
  cancelled?(world: World): Promise<boolean>
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

/** Serves, with nothing to complain of. */
const isWell = async (world: World) => (await isActive(world)) && (await theInstance(world))?.fault === undefined

/** As it was before, and it is told why. */
const isAsBefore = async (world: World) => {
  const instance = await theInstance(world)
  return instance?.task === 'NONE' && instance.fault !== undefined && instance.operation === undefined
}

/** As it was before, without a word. */
const isAsWell = async (world: World) => {
  const instance = await theInstance(world)
  return instance?.task === 'NONE' && instance.fault === undefined && instance.operation === undefined
}

const admin = <B>(platform: Platform, body: B, id: string) => ({ ...call(platform, body, { id }), admin: true })

/** Whether the agents were asked for these, in this order and no others, after what made the instance. */
function didLast(world: World, ...expected: string[]): boolean {
  const [guest] = world.machine.servers.values()
  return JSON.stringify(guest?.driver.executed.slice(3)) === JSON.stringify(expected)
}

/** An action of a running instance. */
function action(
  begin: (platform: Platform, id: string) => Promise<unknown>,
  done: (world: World, instance: Instance) => boolean,
  body: unknown = BODY,
): Scenario {
  return {
    async before(world) {
      await requestCreate(call(world.platform, CreateBody.parse(body)))
      await world.until('instance', () => isActive(world))
    },
    async begin(platform) {
      const [item] = await instances.list(platform.store, PROJECT, { limit: 1 })
      if (item) await begin(platform, item.body.id)
    },
    async done(world) {
      const instance = await theInstance(world)
      return instance !== undefined && (await isWell(world)) && done(world, instance)
    },
    failed: isAsBefore,
    // Its user knows why.
    cancelled: isAsWell,
  }
}

const machineSize = (world: World) => [...world.machine.servers.values()][0]?.spec

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
  restart: action(
    (platform, id) => requestRestart(call(platform, {}, { id })),
    world => didLast(world, 'restart'),
  ),
  reboot: action(
    (platform, id) => requestReboot(admin(platform, {}, id)),
    world => [...world.machine.servers.values()][0]?.wish !== undefined,
  ),
  stop_db: {
    ...action(
      (platform, id) => requestStop(admin(platform, {}, id)),
      world => didLast(world, 'stop_db'),
    ),
    async done(world) {
      const instance = await theInstance(world)
      return instance?.task === 'NONE' && instance.service?.status === 'shutdown' && didLast(world, 'stop_db')
    },
  },
  resize_volume: action(
    (platform, id) => requestResizeVolume(call(platform, { size: 3 }, { id })),
    (world, { volume }) => volume.sizeGb === 3 && [...world.machine.volumes.values()][0]?.sizeGb === 3,
  ),
  resize_flavor: action(
    (platform, id) => requestResizeFlavor(call(platform, { flavor: 2 }, { id })),
    (world, { flavor }) =>
      flavor === '2' &&
      Object(machineSize(world)?.flavor).ramMb === 1024 &&
      didLast(world, 'start_db_with_conf_changes'),
  ),
  upgrade: action(
    (platform, id) => requestUpgrade(call(platform, { version: '18' }, { id })),
    (world, { datastore }) =>
      datastore.versionName === '18' &&
      Object(machineSize(world)?.datastore).version === '18' &&
      didLast(world, 'upgrade'),
    { instance: { ...BODY.instance, datastore: { type: 'postgresql', version: '18.3' } } },
  ),
  update_access: {
    ...action(
      (platform, id) => requestAccess(call(platform, { access: { allowed_cidrs: ['10.0.0.0/8'] } }, { id })),
      (world, { access }) =>
        JSON.stringify(access?.allowed_cidrs) === '["10.0.0.0/8"]' && didLast(world, 'update_access 10.0.0.0/8'),
    ),
    // What was let in is shut out again.
    async cancelled(world) {
      const [guest] = world.machine.servers.values()
      return (await isAsWell(world)) && guest?.driver.executed.at(-1) !== 'update_access 10.0.0.0/8'
    },
  },
  rebuild: {
    ...action(
      (platform, id) => requestRebuild(admin(platform, {}, id)),
      (world, { generation }) => generation === 2 && didLast(world, 'rebuild'),
    ),
    async failed(world) {
      const instance = await theInstance(world)
      return (
        instance !== undefined && statusOf(instance) === 'ERROR' && instance.fault !== undefined && !instance.operation
      )
    },
    cancelled: world => scenarios.rebuild.failed?.(world) ?? Promise.resolve(false),
  },
}

/** What the audit has, the latest first. */
export const records = async (world: World): Promise<AuditRecord[]> =>
  (await audits.list(world.store, PROJECT, { limit: 100 })).map(({ body }) => body)

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

/** The machine has what the instance says, and nothing else. */
export function expectItsMachine(world: World, instance: Instance): void {
  expect([...world.machine.volumes].map(([name, { sizeGb }]) => [name, sizeGb])).toEqual([
    [volumeOf(instance), instance.volume.sizeGb],
  ])
  const { server } = instance
  const runs = server !== undefined && server.status !== 'GONE'
  expect([...world.machine.servers.keys()]).toEqual(runs ? [serverOf(instance)] : [])
  if (runs) {
    expect(machineSize(world)).toEqual({ flavor: sizeOf(instance.flavor), datastore: engineOf(instance.datastore) })
  }
  const topics = world.queue.topics().filter(topic => topic.startsWith('guest-'))
  expect(topics).toEqual(runs ? [guestTopic(instance.id, instance.generation)] : [])
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
