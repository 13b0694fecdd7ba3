import { beforeEach, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { Fault } from '../../lib/kit/errors.ts'
import { commit } from '../../lib/kit/transaction.ts'
import {
  LIMITS_RECORD,
  type Limits,
  loadLimits,
  projectLimits,
  quotaUsage,
  reservationChanges,
  reserveQuota,
} from '../../lib/model/quota.ts'
import { embeddedQueue } from '../../lib/platform/queue/embedded/queue.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite/store.ts'
import { type Change, Conflict, type Store } from '../../lib/ports/store.ts'
import { seededRandom, silentLog } from '../kit/random.ts'
import { virtualClock } from '../kit/virtual-clock.ts'

const P = 'p1'
const queue = embeddedQueue({ clock: virtualClock(), random: seededRandom(1) })
let store: Store
beforeEach(() => {
  store = sqliteStore(':memory:', { clock: virtualClock() })
})

async function setLimits(limits: Partial<Limits>): Promise<void> {
  const { record } = await loadLimits(store, P)
  const change = record
    ? projectLimits.replace(record, { ...record.body, ...limits })
    : projectLimits.create(P, LIMITS_RECORD, limits)
  await store.transact([change])
}
const used = async (project = P) => (await quotaUsage.get(store, project, 'instances'))?.body.used ?? 0
const reserve = (count: number, changes: Change[] = [], project = P) =>
  commit({ store, queue, log: silentLog }, async () => {
    const reservation = await reserveQuota(store, project, { instances: count })
    return { ...reservation, changes: [...reservation.changes, ...changes], messages: [] }
  })
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => 'accepted',
    (error: unknown) => (error instanceof Fault ? `${error.status} ${error.message}` : error),
  )
const OVER = "413 Quota exceeded for resources: ['instances']."

describe('reserveQuota', () => {
  it('uses the default limits until a project has its own', async () => {
    expect((await loadLimits(store, P)).limits).toEqual({ instances: 10, ram: -1, volumes: 40, backups: 50 })
    await setLimits({ instances: 3, ram: 100 })
    expect((await loadLimits(store, P)).limits).toEqual({ instances: 3, ram: 100, volumes: 40, backups: 50 })
    expect((await loadLimits(store, 'p2')).limits.instances).toBe(10)
  })

  it('accepts amounts up to the limit; -1 is no limit', async () => {
    await setLimits({ instances: 3 })
    await reserve(3)
    expect(await refusal(reserve(1))).toBe(OVER)
    await setLimits({ instances: -1 })
    await reserve(50)
    expect(await used()).toBe(53)
  })

  it('allows releases and refuses reservations if the usage is above the limit', async () => {
    await reserve(5)
    await setLimits({ instances: 2 })
    expect(await used()).toBe(5)
    expect(await refusal(reserve(1))).toBe(OVER)
    await store.transact(reservationChanges(P, { instances: -3 }))
    expect(await refusal(reserve(1))).toBe(OVER)
    await store.transact(reservationChanges(P, { instances: -1 }))
    await reserve(1)
    expect(await used()).toBe(2)
  })

  it('applies a limit that is lowered while a request is running', async () => {
    for (const isFirstRecord of [true, false]) {
      store = sqliteStore(':memory:', { clock: virtualClock() })
      if (!isFirstRecord) await setLimits({ instances: 10 })
      const staleChanges = reservationChanges(P, { instances: 4 }, await loadLimits(store, P))
      await setLimits({ instances: 3 })
      await expect(store.transact(staleChanges)).rejects.toEqual(new Conflict(1, 'version'))
      // A request that read the limits just before they changed reads them again.
      const inner = store
      let raced = false
      store = {
        ...inner,
        async transact(changes) {
          if (!raced && changes.some(({ op }) => op === 'add')) {
            raced = true
            await inner.transact([{ op: 'put', key: projectLimits.key(P, LIMITS_RECORD), body: { instances: 1 } }])
          }
          return inner.transact(changes)
        },
      }
      expect(await refusal(reserve(2))).toBe(OVER)
      expect(await used()).toBe(0)
    }
  })

  it('never exceeds a limit, however many requests run at once while limits change', async () => {
    const step = fc.oneof(
      fc.record({ reserve: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ limit: fc.integer({ min: 0, max: 12 }) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async steps => {
        store = sqliteStore(':memory:', { clock: virtualClock() })
        const inner = store
        const reservations: [used: number, limit: number][] = []
        let last: Promise<void> = Promise.resolve()
        const transactAndRecord = async (changes: Change[]) => {
          const before = (await quotaUsage.get(inner, P, 'instances'))?.body.used ?? 0
          await inner.transact(changes)
          const after = (await quotaUsage.get(inner, P, 'instances'))?.body.used ?? 0
          if (after > before) reservations.push([after, (await loadLimits(inner, P)).limits.instances])
        }
        // One transaction at a time, recorded before the next. Between a request's read and its write, others may run.
        store = {
          ...inner,
          transact(changes) {
            const current = last.then(() => transactAndRecord(changes))
            last = current.catch(() => {})
            return current
          },
        }
        await Promise.all(
          steps.map(change =>
            'reserve' in change
              ? refusal(reserve(change.reserve))
              : setLimits({ instances: change.limit }).catch(() => {}),
          ),
        )
        for (const [after, max] of reservations) expect(after).toBeLessThanOrEqual(max)
      }),
      { numRuns: 50 },
    )
  })

  it("throws the conflict of the request's own changes", async () => {
    const key = { project: P, id: 'thing#1' }
    await reserve(1, [{ op: 'put', key, body: {}, was: 0 }])
    await expect(reserve(1, [{ op: 'put', key, body: {}, was: 0 }])).rejects.toBeInstanceOf(Conflict)
    expect(await used()).toBe(1)
  })
})

describe('reservationChanges', () => {
  it('throws for a reservation without the limits; a release needs none', () => {
    expect(() => reservationChanges(P, { instances: 1, ram: -5 })).toThrow(/limits/)
    expect(reservationChanges(P, { instances: -1 })).toHaveLength(1)
  })
})
