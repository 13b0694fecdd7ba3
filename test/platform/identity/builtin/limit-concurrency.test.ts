import { describe, expect, it } from '@jest/globals'
import { limitConcurrency } from '../../../../lib/platform/identity/builtin/limit-concurrency.ts'
import { TooManyLogins } from '../../../../lib/ports/accounts.ts'

describe('the concurrency limit', () => {
  it('runs only so many calls at once and keeps their order', async () => {
    const limited = limitConcurrency(2, 10)
    let [running, maximum] = [0, 0]
    const order: number[] = []
    const work = (n: number) => async () => {
      maximum = Math.max(maximum, ++running)
      order.push(n)
      await Promise.resolve()
      running--
      if (n === 1) throw new Error('failed')
      return n
    }
    const results = await Promise.allSettled([0, 1, 2, 3, 4].map(n => limited(work(n))))
    expect(results.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
      'fulfilled',
    ])
    expect([maximum, order]).toEqual([2, [0, 1, 2, 3, 4]])
  })

  it('rejects further calls, and accepts calls again afterwards', async () => {
    const limited = limitConcurrency(1, 1)
    const { promise, resolve } = Promise.withResolvers<void>()
    const first = limited(() => promise)
    const second = limited(async () => 2)
    await expect(limited(async () => 3)).rejects.toThrow(TooManyLogins)
    resolve()
    await first
    expect(await second).toBe(2)
    expect(await limited(async () => 4)).toBe(4)
  })
})
