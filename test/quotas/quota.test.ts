import { beforeEach, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { Fault } from '../../lib/kit/errors.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite.ts'
import { type Change, Conflict, type Store } from '../../lib/platform/store/store.ts'
import {
  allowanceOf,
  type Limits,
  OWN_LIMITS,
  ownLimits,
  quotaChanges,
  quotas,
  transactWithin,
} from '../../lib/quotas/quota.ts'
import { wantedLimits } from '../../lib/quotas/routes.ts'
import { virtualClock } from '../kit/virtual-clock.ts'

const P = 'p1'
let store: Store
beforeEach(() => {
  store = sqliteStore(':memory:', { clock: virtualClock() })
})

async function limit(limits: Partial<Limits>): Promise<void> {
  const { own } = await allowanceOf(store, P)
  const change = own ? ownLimits.replace(own, { ...own.body, ...limits }) : ownLimits.create(P, OWN_LIMITS, limits)
  await store.transact([change])
}
const used = async (project = P) => (await quotas.get(store, project, 'instances'))?.body.used ?? 0
const take = (count: number, changes: Change[] = [], project = P) =>
  transactWithin(store, project, { instances: count }, changes)
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => 'taken',
    (error: unknown) => (error instanceof Fault ? `${error.status} ${error.message}` : error),
  )
const OVER = "413 Quota exceeded for resources: ['instances']."

describe("a project's limits", () => {
  it('are the usual ones until it has its own', async () => {
    expect((await allowanceOf(store, P)).limits).toEqual({ instances: 10, ram: -1, volumes: 40, backups: 50 })
    await limit({ instances: 3, ram: 100 })
    expect((await allowanceOf(store, P)).limits).toEqual({ instances: 3, ram: 100, volumes: 40, backups: 50 })
    expect((await allowanceOf(store, 'p2')).limits.instances).toBe(10)
  })

  it('hold to the last one, and -1 is none', async () => {
    await limit({ instances: 3 })
    await take(3)
    expect(await refusal(take(1))).toBe(OVER)
    await limit({ instances: -1 })
    await take(50)
    expect(await used()).toBe(53)
  })

  it('below what is in use take nothing away, let give back, and refuse what comes next', async () => {
    await take(5)
    await limit({ instances: 2 })
    expect(await used()).toBe(5)
    expect(await refusal(take(1))).toBe(OVER)
    await store.transact(quotaChanges(P, { instances: -3 }))
    expect(await refusal(take(1))).toBe(OVER)
    await store.transact(quotaChanges(P, { instances: -1 }))
    await take(1)
    expect(await used()).toBe(2)
  })

  it('that are lowered while a request is under way hold for it too', async () => {
    for (const first of [true, false]) {
      store = sqliteStore(':memory:', { clock: virtualClock() })
      if (!first) await limit({ instances: 10 })
      const old = quotaChanges(P, { instances: 4 }, await allowanceOf(store, P))
      await limit({ instances: 3 })
      await expect(store.transact(old)).rejects.toEqual(new Conflict(1, 'version'))
      // And a request that reads them just before: it reads them again.
      const inner = store
      let raced = false
      store = {
        ...inner,
        async transact(changes) {
          if (!raced && changes.some(({ op }) => op === 'add')) {
            raced = true
            await inner.transact([{ op: 'put', key: ownLimits.key(P, OWN_LIMITS), body: { instances: 1 } }])
          }
          return inner.transact(changes)
        },
      }
      expect(await refusal(take(2))).toBe(OVER)
      expect(await used()).toBe(0)
    }
  })

  it('are never passed, however many ask at once while they change', async () => {
    const step = fc.oneof(
      fc.record({ take: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ limit: fc.integer({ min: 0, max: 12 }) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async steps => {
        store = sqliteStore(':memory:', { clock: virtualClock() })
        const inner = store
        const seen: [used: number, limit: number][] = []
        let last: Promise<void> = Promise.resolve()
        const watched = async (changes: Change[]) => {
          const before = (await quotas.get(inner, P, 'instances'))?.body.used ?? 0
          await inner.transact(changes)
          const after = (await quotas.get(inner, P, 'instances'))?.body.used ?? 0
          if (after > before) seen.push([after, (await allowanceOf(inner, P)).limits.instances])
        }
        // One transaction at a time, with the look at what it made; between a request's reading and writing anything may come.
        store = {
          ...inner,
          transact(changes) {
            const mine = last.then(() => watched(changes))
            last = mine.catch(() => {})
            return mine
          },
        }
        await Promise.all(
          steps.map(one => ('take' in one ? refusal(take(one.take)) : limit({ instances: one.limit }).catch(() => {}))),
        )
        for (const [after, most] of seen) expect(after).toBeLessThanOrEqual(most)
      }),
      { numRuns: 50 },
    )
  })

  it("leave a conflict of the request's own changes to the one who asked", async () => {
    const key = { project: P, id: 'thing#1' }
    await take(1, [{ op: 'put', key, body: {}, was: 0 }])
    await expect(take(1, [{ op: 'put', key, body: {}, was: 0 }])).rejects.toEqual(new Conflict(2, 'version'))
    expect(await used()).toBe(1)
  })
})

it('taking without the limits is a fault of the program', () => {
  expect(() => quotaChanges(P, { instances: 1, ram: -5 })).toThrow(/limits/)
  expect(quotaChanges(P, { instances: -1 })).toHaveLength(1)
})

describe('wanted limits', () => {
  it('skip nulls and what XML leaves, and take digits', () => {
    expect(wantedLimits({ instances: 5, ram: null, volumes: '7', xmlns: 'http://x', backups: -1 })).toEqual({
      instances: 5,
      volumes: 7,
      backups: -1,
    })
    expect(wantedLimits({})).toEqual({})
  })

  it.each([
    [{ cores: 1 }, 404],
    [{ __proto__x: 1 }, 404],
    [{ constructor: 1 }, 404],
    [{ instances: -2 }, 400],
    [{ instances: '-2' }, 400],
    [{ instances: 1.5 }, 400],
    [{ instances: 'many' }, 400],
    [{ instances: true }, 400],
    [{ instances: [1] }, 400],
    [{ instances: 2 ** 31 }, 400],
    [{ instances: 1e308 }, 400],
  ])('%j are refused with %i', (asked, status) => {
    expect(() => wantedLimits(asked)).toThrow(expect.objectContaining({ status }))
  })
})
