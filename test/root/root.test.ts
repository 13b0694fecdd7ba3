import { beforeEach, describe, expect, it } from '@jest/globals'
import { instances } from '../../lib/instances/instance.ts'
import { burial, EVERY_PROJECT, tombstones } from '../../lib/instances/tombstone.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite.ts'
import type { Store } from '../../lib/platform/store/store.ts'
import { noteRoot, rootHistories } from '../../lib/root/root.ts'
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
  task: 'NONE' as const,
}
const WEEK = 7 * 86_400_000

const clock = virtualClock(1_000)
let store: Store
beforeEach(async () => {
  store = sqliteStore(':memory:', { clock })
  await store.transact([instances.create(P, SHOP.id, SHOP)])
})
const history = async () => (await rootHistories.get(store, P, SHOP.id))?.body

describe('the history of root', () => {
  it('keeps the first enabling', async () => {
    await noteRoot({ store, clock }, P, SHOP.id, 'ann')
    const first = { enabled: clock.now(), user: 'ann' }
    await clock.advance(5_000)
    await Promise.all(['bob', 'cid'].map(user => noteRoot({ store, clock }, P, SHOP.id, user)))
    expect(await history()).toEqual(first)
  })

  it('begins for no instance that has gone, not even in between', async () => {
    const inner = store
    const racing: Store = {
      ...inner,
      async transact(changes) {
        await inner.transact([{ op: 'delete', key: instances.key(P, SHOP.id) }])
        return inner.transact(changes)
      },
    }
    await expect(noteRoot({ store: racing, clock }, P, SHOP.id, 'ann')).rejects.toMatchObject({ status: 404 })
    expect(await history()).toBeUndefined()
  })

  it('goes with its instance, and is told for a week', async () => {
    const world = await new World().open()
    await world.store.transact([instances.create(P, SHOP.id, SHOP)])
    await noteRoot(world.platform, P, SHOP.id, 'ann')
    await world.store.transact(await burial(world.platform, SHOP))
    expect(await rootHistories.get(world.store, P, SHOP.id)).toBeUndefined()
    const grave = async () => (await tombstones.get(world.store, EVERY_PROJECT, SHOP.id))?.body
    expect(await grave()).toMatchObject({ name: 'shop', root: { user: 'ann' }, deleted: world.clock.now() })
    await world.clock.advance(WEEK - 1)
    expect(await grave()).toBeDefined()
    await world.clock.advance(1)
    expect(await grave()).toBeUndefined()
  })
})
