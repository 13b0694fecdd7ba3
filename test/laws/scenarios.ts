import { expect } from '@jest/globals'
import { agentCommands, agentRecords } from '../../lib/agents/agent.ts'
import { type AuditRecord, auditRecords } from '../../lib/audit/audit.ts'
import { guestTopic } from '../../lib/contracts/conductor.ts'
import type { TaskmanagerMethods } from '../../lib/contracts/taskmanager.ts'
import { requestAccess } from '../../lib/instances/verbs/access.ts'
import { CreateBody, requestCreate } from '../../lib/instances/verbs/create.ts'
import { requestDelete } from '../../lib/instances/verbs/delete.ts'
import { requestReboot } from '../../lib/instances/verbs/reboot.ts'
import { requestRebuild } from '../../lib/instances/verbs/rebuild.ts'
import { requestResizeFlavor } from '../../lib/instances/verbs/resize-flavor.ts'
import { requestResizeVolume } from '../../lib/instances/verbs/resize-volume.ts'
import { requestRestart } from '../../lib/instances/verbs/restart.ts'
import { requestStop } from '../../lib/instances/verbs/stop.ts'
import { requestUpgrade } from '../../lib/instances/verbs/upgrade.ts'
import { ERASED } from '../../lib/kit/crypto/secret.ts'
import type { Call, Mutation } from '../../lib/kit/http/route.ts'
import { hasEnded, type SagaRecord } from '../../lib/kit/saga/saga.ts'
import { engineOfInstance } from '../../lib/model/catalog.ts'
import { flavorSize, ramQuota } from '../../lib/model/flavor.ts'
import { type Instance, instances, isBusyOrBroken, serverOf, volumeOf } from '../../lib/model/instance.ts'
import { statusOf } from '../../lib/model/instance-status.ts'
import { memoryInUse } from '../../lib/model/placement.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { silentLog } from '../kit/random.ts'
import { perform } from '../sim/perform.ts'
import type { World } from '../sim/world.ts'

export const PROJECT = 'p1'

/** How an operation is requested in the simulated world, and what holds at its end. */
export interface Scenario {
  /** Brings the world to where the operation can be requested. */
  before(world: World): Promise<void>
  begin(platform: Platform): Promise<unknown>
  /** Whether it was done completely. */
  done(world: World): Promise<boolean>
  /** Whether it was rolled back; missing if it only runs forward. */
  failed?(world: World): Promise<boolean>
  /** Whether it was cancelled and rolled back; missing if that looks the same as a failure. */
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

function callOf<B>(platform: Platform, body: B, params: Record<string, string> = {}): Call<B, Platform> {
  const caller = { project: PROJECT, user: 'u1', admin: false, requestId: 'req-1', baseUrl: 'http://localhost' }
  return { ...caller, deps: platform, method: 'POST', params, query: {}, body, log: silentLog }
}

export async function theInstance(world: World): Promise<Instance | undefined> {
  return (await instances.list(world.store, PROJECT, { limit: 1 }))[0]?.body
}

export const createInstance = (platform: Platform) =>
  perform(platform, () => requestCreate(callOf(platform, CreateBody.parse(BODY))))

export const deleteInstance = async (platform: Platform) => {
  const [item] = await instances.list(platform.store, PROJECT, { limit: 1 })
  if (item) await perform(platform, () => requestDelete(callOf(platform, undefined, { id: item.body.id })))
}

async function isActive(world: World): Promise<boolean> {
  const instance = await theInstance(world)
  return instance !== undefined && statusOf(instance) === 'ACTIVE' && instance.agentReport?.status === 'healthy'
}

/** Active and serving, without a fault. */
const isHealthy = async (world: World) => (await isActive(world)) && (await theInstance(world))?.fault === undefined

/** Idle again, with the reason as its fault. */
const isUnchangedWithFault = async (world: World) => {
  const instance = await theInstance(world)
  return instance !== undefined && !isBusyOrBroken(instance) && instance.fault !== undefined
}

/** Idle again, without a fault. */
const isUnchanged = async (world: World) => {
  const instance = await theInstance(world)
  return instance !== undefined && !isBusyOrBroken(instance) && instance.fault === undefined
}

const adminCall = <B>(platform: Platform, body: B, id: string) => ({ ...callOf(platform, body, { id }), admin: true })

/** Whether exactly these commands were executed, in this order, after the three of the create. */
function agentExecuted(world: World, ...expected: string[]): boolean {
  const [guest] = world.machine.servers.values()
  return JSON.stringify(guest?.driver.executed.slice(3)) === JSON.stringify(expected)
}

/** The scenario of an action on a running instance. */
function action(
  begin: (platform: Platform, id: string) => Promise<Mutation>,
  done: (world: World, instance: Instance) => boolean,
  body: unknown = BODY,
): Scenario {
  return {
    async before(world) {
      await perform(world.platform, () => requestCreate(callOf(world.platform, CreateBody.parse(body))))
      await world.until('instance', () => isActive(world))
    },
    async begin(platform) {
      const [item] = await instances.list(platform.store, PROJECT, { limit: 1 })
      if (item) await perform(platform, () => begin(platform, item.body.id))
    },
    async done(world) {
      const instance = await theInstance(world)
      return instance !== undefined && (await isHealthy(world)) && done(world, instance)
    },
    failed: isUnchangedWithFault,
    // No fault: its user knows why.
    cancelled: isUnchanged,
  }
}

const machineSize = (world: World) => [...world.machine.servers.values()][0]?.spec

/** One for every operation of the taskmanager: a new operation does not compile without one. */
export const scenarios: Record<keyof TaskmanagerMethods, Scenario> = {
  create_instance: {
    before: async () => {},
    begin: createInstance,
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
      await createInstance(world.platform)
      await world.until('instance', () => isActive(world))
    },
    begin: deleteInstance,
    done: async world => (await theInstance(world)) === undefined,
  },
  restart: action(
    (platform, id) => requestRestart(callOf(platform, {}, { id })),
    world => agentExecuted(world, 'restart'),
  ),
  reboot: action(
    (platform, id) => requestReboot(adminCall(platform, {}, id)),
    world => [...world.machine.servers.values()][0]?.changeId !== undefined,
  ),
  stop_db: {
    ...action(
      (platform, id) => requestStop(adminCall(platform, {}, id)),
      world => agentExecuted(world, 'stop_db'),
    ),
    async done(world) {
      const instance = await theInstance(world)
      const isIdle = instance !== undefined && !isBusyOrBroken(instance)
      return isIdle && instance.agentReport?.status === 'shutdown' && agentExecuted(world, 'stop_db')
    },
  },
  resize_volume: action(
    (platform, id) => requestResizeVolume(callOf(platform, { volume: { size: 3 } }, { id })),
    (world, { volume }) => volume.sizeGb === 3 && [...world.machine.volumes.values()][0]?.sizeGb === 3,
  ),
  resize_flavor: action(
    (platform, id) => requestResizeFlavor(callOf(platform, { flavorRef: 2 }, { id })),
    (world, { flavor }) =>
      flavor === '2' &&
      Object(machineSize(world)?.flavor).ramMb === 1024 &&
      agentExecuted(world, 'start_db_with_conf_changes'),
  ),
  upgrade: action(
    (platform, id) => requestUpgrade(callOf(platform, { version: '18' }, { id })),
    (world, { datastore }) =>
      datastore.versionName === '18' &&
      Object(machineSize(world)?.datastore).version === '18' &&
      agentExecuted(world, 'upgrade'),
    { instance: { ...BODY.instance, datastore: { type: 'postgresql', version: '18.3' } } },
  ),
  update_access: {
    ...action(
      (platform, id) => requestAccess(callOf(platform, { access: { allowed_cidrs: ['10.0.0.0/8'] } }, { id })),
      (world, { access }) =>
        JSON.stringify(access?.allowed_cidrs) === '["10.0.0.0/8"]' && agentExecuted(world, 'update_access 10.0.0.0/8'),
    ),
    // The networks that were let in are shut out again.
    async cancelled(world) {
      const [guest] = world.machine.servers.values()
      return (await isUnchanged(world)) && guest?.driver.executed.at(-1) !== 'update_access 10.0.0.0/8'
    },
  },
  rebuild: {
    ...action(
      (platform, id) => requestRebuild(adminCall(platform, {}, id)),
      (world, { generation }) => generation === 2 && agentExecuted(world, 'rebuild'),
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

/** The audit records of the project, the latest first. */
export const auditTrail = async (world: World): Promise<AuditRecord[]> =>
  (await auditRecords.list(world.store, PROJECT, { limit: 100 })).map(({ body }) => body)

/** What the project uses of its quotas, by resource. */
export async function usedQuota(world: World): Promise<Record<string, number>> {
  const items = await world.store.list(PROJECT, 'quota', { limit: 10 })
  return Object.fromEntries(
    items.map(({ key, body }) => [key.id.slice('quota#'.length), Number(Object(body).used ?? 0)]),
  )
}

/** Expects no volume, server or agent queue. */
export function expectEmptyMachine(world: World): void {
  expect([...world.machine.volumes]).toEqual([])
  expect([...world.machine.servers.keys()]).toEqual([])
  expect(world.queue.topics().filter(topic => topic.startsWith('guest-'))).toEqual([])
}

/** Expects the machine to have what the instance's record says, and nothing else. */
export function expectMachineMatches(world: World, instance: Instance): void {
  expect([...world.machine.volumes].map(([name, { sizeGb }]) => [name, sizeGb])).toEqual([
    [volumeOf(instance), instance.volume.sizeGb],
  ])
  const { server } = instance
  const hasServer = server !== undefined && server.status !== 'GONE'
  expect([...world.machine.servers.keys()]).toEqual(hasServer ? [serverOf(instance)] : [])
  if (hasServer) {
    expect(machineSize(world)).toEqual({
      flavor: flavorSize(instance.flavor),
      datastore: engineOfInstance(instance.datastore),
    })
  }
  const topics = world.queue.topics().filter(topic => topic.startsWith('guest-'))
  expect(topics).toEqual(hasServer ? [guestTopic(instance.id, instance.generation)] : [])
}

/** Expects the memory in use of each host to be that of its instances. */
export async function expectMemoryMatches({ store }: World): Promise<void> {
  const inUse = await memoryInUse(store)
  const expected = new Map<string, number>([...inUse.keys()].map(host => [host, 0]))
  for (const { body } of (await instances.all(store, { limit: 1_000 })).items) {
    if (body.quotaReleased || body.host === undefined) continue
    expected.set(body.host, (expected.get(body.host) ?? 0) + ramQuota(body))
  }
  expect([...inUse].sort()).toEqual([...expected].sort())
}

/** Expects nothing to be left but records that expire by themselves. */
export async function expectNothingLeft(world: World): Promise<void> {
  expectEmptyMachine(world)
  expect(await usedQuota(world)).toEqual({ instances: 0, ram: 0, volumes: 0 })
  expect((await agentRecords.all(world.store, { limit: 10 })).items).toEqual([])
  for (const kind of ['instance', 'id', 'guest', 'command', 'machine', 'saga', 'answer', 'root', 'tombstone']) {
    const { items } = await world.store.all(kind, { limit: 100 })
    expect(items.filter(({ expires }) => expires === undefined).map(({ key }) => key.id)).toEqual([])
  }
}

/** Expects no readable secret in any record. */
export async function expectNoSecrets(world: World): Promise<void> {
  for (const kind of ['instance', 'guest', 'command', 'saga', 'machine']) {
    const { items } = await world.store.all(kind, { limit: 100 })
    expect(JSON.stringify(items)).not.toContain('canary-1')
  }
}

/** Expects the secrets of ended operations and commands to be erased, not only encrypted. */
export async function expectSecretsErased(world: World): Promise<void> {
  const sagas = (await world.sagas()) as SagaRecord[]
  const rows = (await agentCommands.all(world.store, { limit: 100 })).items.map(({ body }) => body)
  const inputs = [
    ...sagas.filter(hasEnded).map(({ request }) => request),
    ...rows.filter(row => row.status !== 'issued').map(({ input }) => input),
  ]
  const passwords = JSON.stringify(inputs).match(/"password":"[^"]*"/g) ?? []
  expect(passwords.filter(password => password !== `"password":"${ERASED}"`)).toEqual([])
}
