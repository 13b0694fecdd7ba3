import { expect, it } from '@jest/globals'
import { exactCaller, faultOf, pathSegment, refusal } from './api-helpers.ts'
import { sharedCloud } from './cloud.ts'
import { type Answer, createInstance, deleteInstance, type Session, waitUntilActive } from './coffer.ts'

const { coffer, demo, admin, alt } = sharedCloud()

const path = (project: string) => `/mgmt/quotas/${project}`
const put = (limits: unknown) => admin.call('PUT', path(demo.project), { quotas: limits })
const create = (size = 1) =>
  demo.call('POST', '/instances', { instance: { name: 'n', flavorRef: 1, volume: { size } } })
const createdIds = (answers: Answer[]): string[] =>
  answers.filter(({ status }) => status === 200).map(({ body }) => body.instance.id)
const absolute = async (session: Session) =>
  (await session.call('GET', '/limits')).body.limits.find(({ verb }: { verb: string }) => verb === 'ABSOLUTE')

const usual = [
  { resource: 'instances', in_use: 0, reserved: 0, limit: 10 },
  { resource: 'ram', in_use: 0, reserved: 0, limit: -1 },
  { resource: 'volumes', in_use: 0, reserved: 0, limit: 40 },
  { resource: 'backups', in_use: 0, reserved: 0, limit: 50 },
]

it('shows members the quotas of their project, and admins all quotas', async () => {
  for (const [session, project] of [
    [demo, demo.project],
    [admin, demo.project],
    [admin, 'somewhere-else'],
  ] as const) {
    const { status, body } = await session.call('GET', path(project))
    expect([status, body]).toEqual([200, { quotas: usual }])
  }
  const foreign = await alt.call('GET', path(demo.project))
  expect([foreign.status, faultOf(foreign).name]).toEqual([403, 'forbidden'])
})

it('lets only admins change limits', async () => {
  for (const session of [demo, alt]) {
    const answer = await session.call('PUT', path(session.project), { quotas: { instances: 99 } })
    expect([answer.status, answer.body]).toEqual([
      401,
      { unauthorized: { code: 401, message: 'User does not have admin privileges.' } },
    ])
  }
  expect((await admin.call('GET', path(demo.project))).body.quotas).toEqual(usual)
})

it('refuses invalid limits and projects', async () => {
  expect(await refusal(put({ cores: 1 }))).toMatch(/^404 /)
  expect(await refusal(put({ instances: -2 }))).toMatch(/^400 /)
  expect(await refusal(put({ instances: 'x' }))).toMatch(/^400 /)
  for (const body of [undefined, {}, { quotas: null }, { quotas: [] }, { quotas: 5 }, { quota: { instances: 1 } }]) {
    expect(await refusal(admin.call('PUT', path(demo.project), body))).toMatch(/^400 /)
  }
  // One wrong limit: none of them is set.
  expect(await refusal(put({ volumes: 1, cores: 1 }))).toMatch(/^404 /)
  const call = exactCaller(coffer, admin)
  for (const project of ['*', 'a\0b', 'x'.repeat(65), '../x', 'a/b', "'"]) {
    for (const [method, body] of [['GET'], ['PUT', { quotas: { instances: 1 } }]] as const) {
      const answer = await call(method, path(pathSegment(project)), body)
      expect([project, answer.status]).toEqual([project, 404])
    }
  }
  expect((await admin.call('GET', path(demo.project))).body.quotas).toEqual(usual)
})

it('sets the given limits, skips nulls, and shows them to that project only', async () => {
  const { status, body } = await put({ instances: 3, ram: null, xmlns: 'http://x', volumes: '12' })
  expect([status, body]).toEqual([200, { quotas: { instances: 3, volumes: 12 } }])
  expect(await absolute(demo)).toEqual({
    verb: 'ABSOLUTE',
    max_instances: 3,
    max_ram: -1,
    max_volumes: 12,
    max_backups: 50,
  })
  expect((await absolute(alt)).max_instances).toBe(10)
  expect((await put({ backups: 0 })).body).toEqual({ quotas: { backups: 0 } })
  expect((await put({})).body).toEqual({ quotas: {} })
  const limits = (await demo.call('GET', path(demo.project))).body.quotas.map(({ limit }: { limit: number }) => limit)
  expect(limits).toEqual([3, -1, 12, 0])
})

it('admits exactly the limit of concurrent creates, and none after the limit is lowered', async () => {
  const answers = await Promise.all(Array.from({ length: 7 }, () => create()))
  const ids = createdIds(answers)
  expect(ids).toHaveLength(3)
  const refused = answers.filter(({ status }) => status !== 200).map(faultOf)
  expect(new Set(refused.map(({ code, message }) => `${code} ${message}`))).toEqual(
    new Set(["413 Quota exceeded for resources: ['instances']."]),
  )
  expect((await demo.call('GET', path(demo.project))).body.quotas).toEqual([
    { resource: 'instances', in_use: 3, reserved: 0, limit: 3 },
    { resource: 'ram', in_use: 3 * 512, reserved: 0, limit: -1 },
    { resource: 'volumes', in_use: 3, reserved: 0, limit: 12 },
    { resource: 'backups', in_use: 0, reserved: 0, limit: 0 },
  ])
  await put({ instances: 1, ram: 512 })
  expect(await refusal(create())).toBe("413 Quota exceeded for resources: ['instances', 'ram'].")
  await deleteInstance(demo, ids[0] ?? '')
  expect(await refusal(create())).toMatch(/^413 /)
  await Promise.all(ids.slice(1).map(id => deleteInstance(demo, id)))
  await put({ instances: -1, ram: -1, volumes: 2 })
  expect(await refusal(create(3))).toBe("413 Quota exceeded for resources: ['volumes'].")
  const again = await create(2)
  await deleteInstance(demo, createdIds([again])[0] ?? '')
})

it('admits a resize within the limits only: a refused one takes nothing, a smaller one is never refused', async () => {
  await put({ instances: -1, ram: 1023, volumes: 2 })
  const { id } = await createInstance(demo)
  const resize = (to: unknown) => demo.call('POST', `/instances/${id}/action`, { resize: to })
  const used = async () => {
    const { quotas } = (await demo.call('GET', path(demo.project))).body
    return quotas.map(({ in_use, reserved }: { in_use: number; reserved: number }) => [in_use, reserved])
  }
  const usageOf = (ram: number, volumes: number) => [1, ram, volumes, 0].map(amount => [amount, 0])

  for (const [to, resource] of [
    [{ flavorRef: 2 }, 'ram'],
    [{ volume: { size: 3 } }, 'volumes'],
  ] as const) {
    const answer = await resize(to)
    expect([answer.status, answer.body]).toEqual([
      413,
      { overLimit: { code: 413, message: `Quota exceeded for resources: ['${resource}'].` } },
    ])
    expect(await used()).toEqual(usageOf(512, 1))
    const { instance } = (await demo.call('GET', `/instances/${id}`)).body
    expect([instance.status, instance.flavor.id, instance.volume.size]).toEqual(['ACTIVE', '1', 1])
  }
  expect((await demo.call('GET', `/instances/${id}/operations`)).body.operations).toHaveLength(1)

  // Limits that just suffice.
  await put({ ram: 1024, volumes: 3 })
  expect((await resize({ flavorRef: 2 })).status).toBe(202)
  expect((await waitUntilActive(demo, id)).flavor.id).toBe('2')
  expect((await resize({ volume: { size: 3 } })).status).toBe(202)
  expect((await waitUntilActive(demo, id)).volume.size).toBe(3)
  expect(await used()).toEqual(usageOf(1024, 3))

  await put({ ram: 1 })
  expect((await resize({ flavorRef: 1 })).status).toBe(202)
  expect((await waitUntilActive(demo, id)).flavor.id).toBe('1')
  expect(await used()).toEqual(usageOf(512, 3))
  await deleteInstance(demo, id)
  expect(await used()).toEqual([0, 0, 0, 0].map(amount => [amount, 0]))
})
