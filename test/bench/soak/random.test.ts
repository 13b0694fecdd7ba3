import { describe, expect, it } from '@jest/globals'
import { pickWeighted, seededRandom } from '../../../bench/soak/random.ts'

const draw = (seed: number) => {
  const random = seededRandom(seed)
  return Array.from({ length: 50 }, () => random.whole(0, 1_000))
}

describe('a seed', () => {
  it('repeats its choices, and another seed makes others', () => {
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
  })

  it('chooses among all numbers of a range, and no others', () => {
    const random = seededRandom(1)
    const drawn = new Set(Array.from({ length: 500 }, () => random.whole(3, 6)))
    expect([...drawn].sort()).toEqual([3, 4, 5, 6])
  })

  it('draws times with the mean that is requested', () => {
    const random = seededRandom(2)
    const times = Array.from({ length: 20_000 }, () => random.exponential(3))
    expect(times.reduce((sum, time) => sum + time) / times.length).toBeCloseTo(3, 0)
    expect(Math.min(...times)).toBeGreaterThanOrEqual(0)
  })

  it('chooses an item as often as its weight says', () => {
    const random = seededRandom(3)
    const items = [
      { name: 'rare', weight: 1 },
      { name: 'never', weight: 0 },
      { name: 'often', weight: 9 },
    ]
    const counts = { rare: 0, never: 0, often: 0 }
    for (let run = 0; run < 10_000; run++) counts[pickWeighted(random, items).name as keyof typeof counts]++
    expect(counts.never).toBe(0)
    expect(counts.often / counts.rare).toBeGreaterThan(7)
  })

  it('has nothing to choose from an empty list', () => {
    expect(() => seededRandom(1).pick([])).toThrow('there is nothing to choose from')
  })
})
