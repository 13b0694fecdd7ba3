import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { commit } from '../../lib/kit/transaction.ts'
import { ramQuota } from '../../lib/model/flavor.ts'
import { HOSTS_PROJECT, type Host, hosts } from '../../lib/model/host.ts'
import { type Instance, instances } from '../../lib/model/instance.ts'
import { allHosts, chooseHost, memoryInUse } from '../../lib/model/placement.ts'
import { growOnHost, memoryChanges } from '../../lib/model/quota.ts'
import { embeddedQueue } from '../../lib/platform/queue/embedded/queue.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite/store.ts'
import type { Change, Store } from '../../lib/ports/store.ts'
import { seededRandom, silentLog } from '../kit/random.ts'
import { virtualClock } from '../kit/virtual-clock.ts'

const clock = virtualClock()
const datastore = { manager: 'postgresql', version: '18' }
const NO_ROOM = 'No host has room for an instance of this flavor.'
type Compute = Parameters<typeof chooseHost>[0]['compute']

const newHost = (id: string, ramMb: number, changes: Partial<Host> = {}): Change =>
  hosts.create(HOSTS_PROJECT, id, {
    ...{ id, ramMb, state: 'active', engines: { postgresql: ['18'] }, network: '127.1', version: '', lastReport: 0 },
    ...changes,
  })

async function platformWith(...records: Change[]) {
  const store: Store = sqliteStore(':memory:', { clock })
  if (records.length > 0) await store.transact(records)
  const queue = embeddedQueue({ clock, random: seededRandom(1) })
  return { store, queue, compute: { defaultHost: 'local' } as Compute, log: silentLog }
}
type TestPlatform = Awaited<ReturnType<typeof platformWith>>

/** Chooses a host and takes its memory. */
async function place(platform: TestPlatform, ramMb: number): Promise<string | undefined> {
  const { fields, changes } = await chooseHost(platform, { ramMb, datastore })
  await platform.store.transact(changes)
  return fields.host
}

describe('a new instance', () => {
  it('goes to the host with the most free memory', async () => {
    const platform = await platformWith(newHost('a', 2_048), newHost('b', 4_096), newHost('c', 1_024))
    const places: (string | undefined)[] = []
    for (let count = 0; count < 7; count++) places.push(await place(platform, 1_024))
    expect(places).toEqual(['b', 'b', 'a', 'b', 'a', 'b', 'c'])
    await expect(place(platform, 1_024)).rejects.toMatchObject({ status: 422, message: NO_ROOM })
  })

  it('goes to no host that drains, is silent, was removed or lacks its engine', async () => {
    const platform = await platformWith(
      newHost('draining', 9_000, { state: 'draining' }),
      newHost('silent', 9_000, { silentSince: 1 }),
      newHost('removed', 9_000, { state: 'removed' }),
      newHost('old', 9_000, { engines: { postgresql: ['17'] } }),
      newHost('small', 1_000),
    )
    expect(await place(platform, 1_000)).toBe('small')
    await expect(place(platform, 512)).rejects.toThrow(NO_ROOM)
    expect((await allHosts(platform.store)).map(({ body }) => body.id)).not.toContain('removed')
  })

  it('is refused if no host has its engine', async () => {
    const platform = await platformWith(newHost('old', 9_000, { engines: { postgresql: ['17'] } }))
    const refusal = { status: 422, message: 'No host has postgresql 18.' }
    await expect(chooseHost(platform, { ramMb: 512, datastore })).rejects.toMatchObject(refusal)
    await expect(chooseHost(await platformWith(), { ramMb: 512, datastore })).rejects.toMatchObject(refusal)
  })

  it('goes nowhere in particular where compute has no hosts', async () => {
    const platform = { ...(await platformWith()), compute: {} as Compute }
    expect(await chooseHost(platform, { ramMb: 512, datastore })).toEqual({ fields: {}, indexed: {}, changes: [] })
  })

  it('is not placed on a host that was drained since it was chosen', async () => {
    const platform = await platformWith(newHost('a', 9_000))
    const { changes } = await chooseHost(platform, { ramMb: 512, datastore })
    const item = (await hosts.get(platform.store, HOSTS_PROJECT, 'a'))!
    await platform.store.transact([hosts.replace(item, { ...item.body, state: 'draining' })])
    await expect(platform.store.transact(changes)).rejects.toMatchObject({ reason: 'version' })
  })
})

/** What happens to one instance: the flavor of its create and of its resize, and whether it is deleted. */
interface Life {
  flavor: string
  to: string | null
  deleted: boolean
}
const lives: fc.Arbitrary<Life[]> = fc.array(
  fc.record({
    flavor: fc.constantFrom('1', '2', '3'),
    to: fc.option(fc.constantFrom('2', '3')),
    deleted: fc.boolean(),
  }),
  { minLength: 2, maxLength: 10 },
)
const CAPACITY: Record<string, number> = { a: 2_048, b: 3_072, c: 1_024 }

/** The store, whose calls end in any order, and which checks the memory after each transaction. */
function interleaved(store: Store, scheduler: fc.Scheduler): Store {
  const turn = () => scheduler.schedule(Promise.resolve())
  return {
    ...store,
    get: key => turn().then(() => store.get(key)),
    list: (...args) => turn().then(() => store.list(...args)),
    async transact(changes) {
      await turn()
      await store.transact(changes)
      await expectWithinCapacity(store)
    },
  }
}

async function expectWithinCapacity(store: Store): Promise<void> {
  const expected: Record<string, number> = {}
  for (const { body } of (await instances.all(store, { limit: 100 })).items) {
    expected[body.host!] = (expected[body.host!] ?? 0) + ramQuota(body)
  }
  for (const [host, usedMb] of await memoryInUse(store)) {
    expect([host, usedMb]).toEqual([host, expected[host] ?? 0])
    expect(usedMb).toBeLessThanOrEqual(CAPACITY[host]!)
  }
}

/** Creates, resizes and deletes an instance, one after the other. Throws 422 if there is no room for the create. */
async function live(platform: TestPlatform, { flavor, to, deleted }: Life, id: string): Promise<void> {
  const { store } = platform
  const decide = (changes: () => Promise<Change[]>) =>
    commit(platform, async () => ({ changes: await changes(), messages: [], onBound: async () => undefined }))
  const current = async () => (await instances.get(store, 'p', id))!
  await decide(async () => {
    const { fields, indexed, changes } = await chooseHost(platform, { ramMb: ramQuota({ flavor }), datastore })
    return [...changes, instances.create('p', id, { id, flavor, ...fields } as Instance, indexed)]
  })
  if (to !== null) {
    const byMb = ramQuota({ flavor: to }) - ramQuota({ flavor })
    const resize = decide(async () => {
      const item = await current()
      const growth = await growOnHost({ store }, item.body, byMb)
      const change = byMb < 0 ? memoryChanges(item.body.host, byMb) : growth
      return [...change, instances.replace(item, { ...item.body, flavor: to })]
    })
    await resize.catch(expectNoRoom)
  }
  if (!deleted) return
  await decide(async () => {
    const item = await current()
    return [...memoryChanges(item.body.host, -ramQuota(item.body)), instances.remove(item)]
  })
}

const expectNoRoom = (error: unknown) => expect(error).toMatchObject({ status: 422 })

describe('the memory of a host', () => {
  it('is shared evenly by creates that run at the same time', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async scheduler => {
        const platform = await platformWith(...['a', 'b', 'c'].map(id => newHost(id, 8_192)))
        const turn = () => scheduler.schedule(Promise.resolve())
        const { store } = platform
        const busy: TestPlatform = {
          ...platform,
          store: {
            ...store,
            list: (...args) => turn().then(() => store.list(...args)),
            transact: changes => turn().then(() => store.transact(changes)),
          },
        }
        const life: Life = { flavor: '1', to: null, deleted: false }
        await scheduler.waitFor(Promise.all(Array.from({ length: 18 }, (_, index) => live(busy, life, String(index)))))
        const usedMb = [...(await memoryInUse(store)).values()]
        expect(usedMb.reduce((sum, used) => sum + used, 0)).toBe(18 * 512)
        expect(Math.max(...usedMb) - Math.min(...usedMb)).toBeLessThanOrEqual(1_024)
      }),
      { numRuns: 40 },
    )
  })

  it('is never exceeded, whatever creates, resizes and deletes run at the same time', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), lives, async (scheduler, all) => {
        const records = Object.entries(CAPACITY).map(([id, ramMb]) => newHost(id, ramMb))
        const platform = await platformWith(...records)
        const busy = { ...platform, store: interleaved(platform.store, scheduler) }
        const ends = all.map((life, index) => live(busy, life, String(index)).catch(expectNoRoom))
        await scheduler.waitFor(Promise.all(ends))
        await expectWithinCapacity(platform.store)
      }),
      { numRuns: 60 },
    )
  })
})
