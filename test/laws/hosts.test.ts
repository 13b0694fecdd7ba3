import { beforeEach, describe, expect, it } from '@jest/globals'
import { hasEnded, type SagaRecord } from '../../lib/kit/saga/saga.ts'
import { HOSTS_PROJECT, hosts } from '../../lib/model/host.ts'
import { type Instance, instances } from '../../lib/model/instance.ts'
import { statusOf } from '../../lib/model/instance-status.ts'
import { memoryInUse } from '../../lib/model/placement.ts'
import { sendRequest } from '../sim/api.ts'
import { hostReport } from '../sim/hosts.ts'
import { SIM_DATASTORES, World } from '../sim/world.ts'
import { expectMemoryMatches } from './scenarios.ts'

const HOSTS = [
  { id: 'a', ramMb: 4_096 },
  { id: 'b', ramMb: 6_144 },
  { id: 'c', ramMb: 8_192 },
]
const NO_ROOM = 'No host has room for an instance of this flavor.'

let world: World
beforeEach(async () => {
  world = await new World(1, { hosts: HOSTS }).open()
})

const BODY = { instance: { name: 'shop', flavorRef: 1, volume: { size: 1 } } }

/** Sends a request of the project, or as an admin. */
async function call(method: string, path: string, body?: unknown, project = 'p1', roles = 'admin') {
  const response = await sendRequest(world, { method, path, body, project, roles })
  if (!response) throw new Error('the control plane died')
  return { status: response.status, body: response.text === '' ? undefined : JSON.parse(response.text) }
}

const all = async (): Promise<Instance[]> =>
  (await instances.all(world.store, { limit: 1_000 })).items.map(({ body }) => body)
const on = async (host: string) => (await all()).filter(instance => instance.host === host)
const places = async () => (await all()).map(({ host }) => host)
const isHealthy = (instance: Instance) =>
  statusOf(instance) === 'ACTIVE' && instance.agentReport?.status === 'healthy' && !instance.fault
const untilHealthy = () => world.until('instances', async () => (await all()).every(isHealthy))
const untilEnd = () => world.until('end', async () => ((await world.sagas()) as SagaRecord[]).every(hasEnded))
const isSilent = async (host: string) =>
  (await hosts.get(world.store, HOSTS_PROJECT, host))?.body.silentSince !== undefined

/** Creates as many instances, with at most ten in a project, and waits until they serve. */
async function createMany(count: number, first = 0): Promise<void> {
  for (let index = first; index < first + count; index++) {
    expect((await call('POST', '/instances', BODY, `p${Math.floor(index / 10)}`)).status).toBe(200)
  }
  await untilHealthy()
}

/** A host falls silent, and its instances have said so. */
async function fallSilent(host: string): Promise<void> {
  world.silentHosts.add(host)
  const isFaulty = async () => (await on(host)).every(({ fault }) => fault?.message.startsWith(`Host ${host} has not`))
  await world.until('silence', async () => (await isSilent(host)) && (await isFaulty()), 60_000)
}

async function hostView(host: string) {
  return (await call('GET', `/mgmt/hosts/${host}`)).body.host
}

describe('three hosts', () => {
  it('share 30 creates by their free memory', async () => {
    await createMany(30)
    expect([(await on('a')).length, (await on('b')).length, (await on('c')).length]).toEqual([6, 10, 14])
    for (const [id, machine] of world.machines) expect(machine.servers.size).toBe((await on(id)).length)
    const { body } = await call('GET', '/mgmt/hosts')
    expect(
      body.hosts.map(({ name, instanceCount, usedRAM }: Record<string, unknown>) => [name, instanceCount, usedRAM]),
    ).toEqual([
      ['a', 6, 3_072],
      ['b', 10, 5_120],
      ['c', 14, 7_168],
    ])
    await expectMemoryMatches(world)
  })

  it('refuse a create that none has room for, and nothing of it is left', async () => {
    await createMany(2)
    const before = await world.store.all('quota', { limit: 10 })
    const large = { instance: { ...BODY.instance, flavorRef: 5 } }
    const { status, body } = await call('POST', '/instances', large)
    expect([status, body.unprocessableEntity.message]).toEqual([422, NO_ROOM])
    expect((await all()).length).toBe(2)
    expect(await world.store.all('quota', { limit: 10 })).toEqual(before)
    await expectMemoryMatches(world)
  })

  it('refuse a resize that the instance’s host has no room for', async () => {
    await createMany(1)
    const [instance] = await all()
    const resize = (flavorRef: number) =>
      call('POST', `/instances/${instance!.id}/action`, { resize: { flavorRef } }, 'p0')
    expect(instance!.host).toBe('c')
    await call('POST', '/instances', { instance: { ...BODY.instance, flavorRef: 4 } }, 'p0')
    await untilHealthy()
    const { status, body } = await resize(5)
    expect([status, body.unprocessableEntity.message]).toEqual([
      422,
      'The host of the instance has no room for an instance of this flavor.',
    ])
    expect((await resize(3)).status).toBe(202)
    await untilEnd()
    await expectMemoryMatches(world)
  })

  it('give the last free place to one of two creates, and refuse the other', async () => {
    world = await new World(1, { hosts: [{ id: 'a', ramMb: 600 }] }).open()
    const answers = await Promise.all(['p1', 'p2', 'p3'].map(project => call('POST', '/instances', BODY, project)))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 422, 422])
    await expectMemoryMatches(world)
  })
})

describe('a host that falls silent', () => {
  it('shows on its instances, gets no more, and all is well when it reports again', async () => {
    await createMany(15)
    const before = await all()
    await fallSilent('c')
    const fault = /^Host c has not reported since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.$/
    for (const instance of await on('c')) {
      expect([statusOf(instance), instance.fault?.message]).toEqual(['ERROR', expect.stringMatching(fault)])
    }
    expect([...(await on('a')), ...(await on('b'))].every(isHealthy)).toBe(true)
    expect((await hostView('c')).silent_since).toEqual(expect.any(String))
    for (let count = 0; count < 3; count++) await call('POST', '/instances', BODY, 'p5')
    expect((await places()).filter(host => host === 'c').length).toBe(before.filter(({ host }) => host === 'c').length)
    world.silentHosts.delete('c')
    await world.until('return', async () => !(await isSilent('c')), 10_000)
    expect((await on('c')).every(({ fault: message }) => message === undefined)).toBe(true)
    await untilHealthy()
    expect((await hostView('c')).silent_since).toBeNull()
    await call('POST', '/instances', BODY, 'p5')
    expect((await places()).filter(host => host === 'c').length).toBeGreaterThan(
      before.filter(({ host }) => host === 'c').length,
    )
  })

  it('leaves the instance to an operation that runs, and shows when that has ended', async () => {
    await createMany(1)
    const [{ id = '' } = {}] = await all()
    world.silentHosts.add('c')
    expect((await call('POST', `/instances/${id}/action`, { restart: {} }, 'p0')).status).toBe(202)
    await world.until('silence', () => isSilent('c'), 60_000)
    expect((await all())[0]?.fault).toBeUndefined()
    await untilEnd()
    await world.until('fault', async () => statusOf((await all())[0]!) === 'ERROR', 60_000)
  })

  it('loses nothing at a crash before or after any effect of its silence and of its return', async () => {
    for (const silent of [true, false]) {
      for (let effect = 1; effect <= 8; effect++) {
        for (const when of ['before', 'after'] as const) {
          world = await new World(1, { hosts: HOSTS.slice(0, 1) }).open()
          await createMany(2)
          if (!silent) await fallSilent('a')
          world.crashAt({ effect: world.effects + effect, when })
          if (silent) await fallSilent('a')
          world.silentHosts.delete('a')
          await world.until('return', async () => !(await isSilent('a')) && (await all()).every(isHealthy), 60_000)
        }
      }
    }
  })
})

describe('a host that is drained', () => {
  it('gets no more instances until it is resumed', async () => {
    expect((await call('POST', '/mgmt/hosts/c/action', { drain: {} })).status).toBe(202)
    expect((await hostView('c')).state).toBe('draining')
    await createMany(4)
    expect(await places()).not.toContain('c')
    expect((await call('POST', '/mgmt/hosts/c/action', { resume: {} })).status).toBe(202)
    await createMany(1, 4)
    expect(await places()).toContain('c')
  })
})

describe('a host that is removed', () => {
  const message = (answer: { body: { conflict?: { message: string } } }) => answer.body.conflict?.message

  it('must have no instances, and is then ignored until it is started again', async () => {
    await createMany(1)
    expect(message(await call('DELETE', '/mgmt/hosts/c'))).toBe('Host c has instances.')
    expect(message(await call('DELETE', '/mgmt/hosts/c?force=true'))).toContain('only a silent host')
    const [instance] = await all()
    await call('DELETE', `/instances/${instance!.id}`, undefined, 'p0')
    await world.until('delete', async () => (await all()).length === 0)
    expect((await call('DELETE', '/mgmt/hosts/c')).status).toBe(202)
    await world.until('end', async () => !world.queue.topics().includes('host-c'))
    expect((await call('GET', '/mgmt/hosts/c')).status).toBe(404)
    expect((await call('GET', '/mgmt/hosts')).body.hosts.length).toBe(2)
    await createMany(2)
    expect(await places()).not.toContain('c')
    await world.machines.get('c')?.sendReport('update_host', hostReport(SIM_DATASTORES, 8_192))
    await world.until('empty queue', async () => world.queue.depth('conductor')?.ready === 0)
    expect((await call('GET', '/mgmt/hosts/c')).status).toBe(404)
  })

  it('by force loses its instances, which can only be deleted, even after their parts are forgotten', async () => {
    await createMany(10)
    const lost = (await on('c')).map(({ id }) => id)
    // One that is being created when the host dies.
    world.silentHosts.add('c')
    for (let count = 0; count < 2; count++) await call('POST', '/instances', BODY, 'p1')
    expect((await on('c')).length).toBe(lost.length + 1)
    await world.until('silence', () => isSilent('c'), 60_000)
    expect((await call('DELETE', '/mgmt/hosts/c?force=true')).status).toBe(202)
    await untilEnd()
    expect((await on('c')).filter(({ failure, quotaReleased }) => failure && quotaReleased).length).toBe(1)
    const isLost = ({ fault, server }: Instance) =>
      server?.status === 'GONE' && fault?.message === 'Host c was removed.'
    await world.until('loss', async () => (await on('c')).filter(isLost).length === lost.length)
    const [id = ''] = lost
    const rebuild = { rebuild: { image_id: '00000000-0000-4000-8000-000000000000' } }
    expect((await call('POST', `/mgmt/instances/${id}/action`, rebuild)).status).toBe(422)
    await world.clock.advance(3_700_000)
    world.store.sweepExpired(world.clock.now(), 1_000)
    for (const { id: other, project } of await on('c')) await call('DELETE', `/instances/${other}`, undefined, project)
    await world.until('deletes', async () => (await on('c')).length === 0)
    await expectMemoryMatches(world)
    expect((await memoryInUse(world.store)).get('c')).toBe(0)
  })
})
