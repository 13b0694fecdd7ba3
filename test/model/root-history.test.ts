import { beforeEach, describe, expect, it } from '@jest/globals'
import { ALL_PROJECTS, deletedInstances, recordDeletion } from '../../lib/model/deleted-instance.ts'
import { instances } from '../../lib/model/instance.ts'
import { recordRootEnabled, rootHistories } from '../../lib/model/root-history.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite/store.ts'
import { Conflict, type Store } from '../../lib/ports/store.ts'
import { virtualClock } from '../kit/virtual-clock.ts'
import { World } from '../sim/world.ts'

const P = 'p1'
const SHOP = {
  id: 'i1',
  project: P,
  name: 'shop',
  created: 0,
  updated: 0,
  generation: 1,
  flavor: '1',
  volume: { sizeGb: 1 },
  datastore: { type: 'd', manager: 'm', versionId: 'v', versionName: '1', version: '1' },
}
const WEEK = 7 * 86_400_000

const clock = virtualClock(1_000)
let store: Store
beforeEach(async () => {
  store = sqliteStore(':memory:', { clock })
  await store.transact([instances.create(P, SHOP.id, SHOP)])
})
const record = async (user: string) => store.transact(await recordRootEnabled({ store, clock }, P, SHOP.id, user))
const loadHistory = async () => (await rootHistories.get(store, P, SHOP.id))?.body

describe('recordRootEnabled', () => {
  it('keeps the time and user of the first call', async () => {
    await record('ann')
    const first = { enabled: clock.now(), user: 'ann' }
    await clock.advance(5_000)
    await Promise.all(['bob', 'cid'].map(record))
    expect(await loadHistory()).toEqual(first)
  })

  it('throws 404 if the instance is deleted, even just before the write', async () => {
    const changes = await recordRootEnabled({ store, clock }, P, SHOP.id, 'ann')
    await store.transact([{ op: 'delete', key: instances.key(P, SHOP.id) }])
    await expect(store.transact(changes)).rejects.toBeInstanceOf(Conflict)
    await expect(record('ann')).rejects.toMatchObject({ status: 404 })
    expect(await loadHistory()).toBeUndefined()
  })
})

describe('recordDeletion', () => {
  it('moves the root history to the record of the deleted instance, and keeps that for a week', async () => {
    const world = await new World().open()
    await world.store.transact([instances.create(P, SHOP.id, SHOP)])
    await world.store.transact(await recordRootEnabled(world.platform, P, SHOP.id, 'ann'))
    await world.store.transact(await recordDeletion(world.platform, SHOP))
    expect(await rootHistories.get(world.store, P, SHOP.id)).toBeUndefined()
    const deletedInstance = async () => (await deletedInstances.get(world.store, ALL_PROJECTS, SHOP.id))?.body
    expect(await deletedInstance()).toMatchObject({ name: 'shop', root: { user: 'ann' }, deleted: world.clock.now() })
    await world.clock.advance(WEEK - 1)
    expect(await deletedInstance()).toBeDefined()
    await world.clock.advance(1)
    expect(await deletedInstance()).toBeUndefined()
  })
})
